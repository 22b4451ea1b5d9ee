// Weighted sums of values over tokens, for several heads. Values are widened as they are loaded,
// once for all heads of a tile.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_VALUES_CPU_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_VALUES_CPU_H_

#include <cstdint>

#include "csrc/kernels/attention/attention_fetch_cpu.h"
#include "csrc/kernels/attention/attention_lanes_cpu.h"
#include "csrc/kernels/attention/attention_order_cpu.h"
#include "csrc/kernels/attention/attention_plan_cpu.h"
#include "csrc/kernels/common/vec_format.h"

namespace stablekv {

// A row is one element of the head for all tokens of a block. A vector has several short rows, or a
// part of a long one. A few blocks are read in turn, from their first row to their last, which the
// core's own prefetcher follows. What they come to is kept in memory: sums of whole vectors, or,
// for several heads, lanes added up, which are fewer bytes.
template <class Vec, VecFormat kFormat, int kBlock>
class AttentionValues {
 public:
  using Fetch = AttentionFetch<Vec>;
  using Float = typename Vec::Float;

  static constexpr int kParts = Vec::template kParts<kFormat>;
  static constexpr int kTileHeads = Vec::template kTileHeads<kFormat>;

  // Vectors of one head's sums, at most.
  static int64_t SumsOfHead(int64_t head_size) { return head_size / kUnitRows; }

  // Adds sum_t weights[h, t] * value[t, d] over the tokens of the first `count` blocks of `group`
  // to `sums`, or sets them to it, for as many heads as a tile for `heads` has. Weights of heads
  // are kWeightPitch floats apart, in the order of Reorder<kParts, kBlock>. Meanwhile fetches.
  static void Add(bool set, const BlockGroup& group, int64_t count, int64_t head_size,
                  const float* weights, int64_t heads, Float* sums, Fetch* fetch) {
    Lanes::template ForTile<kTileHeads>(heads, [&](auto tile) {
      AddHeads<decltype(tile)::kCount>(set, group.blocks, count, head_size, weights, sums, fetch);
    });
  }

  // out[h * head_size + d] = what `sums` came to, for the first `heads` heads.
  static void Write(const Float* sums, int64_t head_size, int64_t heads, float* out) {
    Lanes::template ForTile<kTileHeads>(
        heads, [&](auto tile) { WriteHeads<decltype(tile)::kCount>(sums, head_size, heads, out); });
  }

 private:
  using Lanes = AttentionLanes<Vec>;

  static constexpr int kRowLanes = kBlock / kParts;
  static constexpr int kPeriod = kRowLanes < Vec::kLanes ? kRowLanes : Vec::kLanes;
  static constexpr int kRowVectors = kRowLanes / kPeriod;
  static constexpr int64_t kVectorBytes = Vec::kLanes * kParts * BytesOf(kFormat);
  // A unit is the vectors of a row, or a vector of several rows.
  static constexpr int64_t kUnitBytes = kVectorBytes * kRowVectors;
  static constexpr int kUnitRows = Vec::kLanes / kPeriod;

  static_assert(kUnitRows <= 8, "head sizes are multiples of 8, so that most have no rest");

  // Enough for more code and more shuffles to be worth it.
  static constexpr bool kManyRegisters = Vec::kTileSums >= 16;

  // With four parts there are no registers for more than two units.
  template <int kHeads>
  static constexpr int kUnitsAtOnce = kParts < 4 && Vec::kTileSums / kHeads >= 4 ? 4 : 2;

  // kUnits units that are worked on at once: whether the lanes of their sums are added up after a
  // few blocks, and how many vectors are kept of them.
  template <int kUnits, int kHeads>
  struct Units {
    static constexpr int kCount = kUnits;
    static constexpr bool kAddedUp = kManyRegisters && kCount >= 4 && kCount * kHeads >= kPeriod;
    static constexpr int kKept =
        kAddedUp ? Lanes::template SumVectors<kPeriod>(kCount * kHeads) : kCount * kHeads;
  };

  // Calls run(Units(), first unit, sums) for all units, as many at once as there are registers for.
  template <int kHeads, class Sums, class Run>
  [[gnu::always_inline]] static void ForUnits(int64_t head_size, Sums* sums, const Run& run) {
    using Many = Units<kUnitsAtOnce<kHeads>, kHeads>;
    using One = Units<1, kHeads>;
    constexpr bool kRest = 8 / kUnitRows % Many::kCount != 0;
    const int64_t units = head_size / kUnitRows;
    int64_t unit = 0;
    for (; unit + Many::kCount <= units; unit += Many::kCount, sums += Many::kKept) {
      run(Many(), unit, sums);
    }
    for (; kRest && unit < units; ++unit, sums += One::kKept) run(One(), unit, sums);
  }

  // Not inlined, as is the keys' RunHeads: the loops need all registers for themselves.
  template <int kHeads>
  [[gnu::noinline]] static void AddHeads(bool set, const uint8_t* const* blocks, int64_t count,
                                         int64_t head_size, const float* weights, Float* sums,
                                         Fetch* fetch) {
    Fetch local_fetch = *fetch;  // in registers
    const auto add = [&](auto units, int64_t unit, Float* kept) __attribute__((always_inline)) {
      AddUnits<decltype(units), kHeads>(set, blocks, unit * kUnitBytes, count, weights, kept,
                                        &local_fetch);
    };
    ForUnits<kHeads>(head_size, sums, add);
    *fetch = local_fetch;
  }

  template <int kHeads>
  static void WriteHeads(const Float* sums, int64_t head_size, int64_t heads, float* out) {
    const auto write = [&](auto units, int64_t unit, const Float* kept) {
      using UnitsOf = decltype(units);
      constexpr int kCount = UnitsOf::kCount;
      Float added[Lanes::template SumVectors<kPeriod>(kCount * kHeads)];
      if constexpr (UnitsOf::kAddedUp) {
        Copy(kept, &added);
      } else {
        Float whole[kCount][kHeads];
        CopyAll(kept, &whole);
        Lanes::template AddUp<kPeriod>(whole, &added);
      }
      Lanes::template WriteSums<kPeriod, kCount, kCount, kHeads>(
          added, heads, out + unit * kUnitRows, head_size, 0);
    };
    ForUnits<kHeads>(head_size, sums, write);
  }

  // Adds the first `count` blocks' share to what is kept of some units, or sets it to that.
  template <class UnitsOf, int kHeads>
  [[gnu::always_inline]] static void AddUnits(bool set, const uint8_t* const* blocks,
                                              int64_t offset, int64_t count, const float* weights,
                                              Float* kept, Fetch* fetch) {
    Float sums[UnitsOf::kCount][kHeads];
    if (set || UnitsOf::kAddedUp) {
      Lanes::Clear(&sums);
    } else {
      CopyAll(kept, &sums);
    }
    int64_t i = 0;
    if (kManyRegisters && UnitsOf::kCount > 1 && count == BlockGroup::kBlocks) {
#pragma GCC unroll 4
      for (; i < BlockGroup::kBlocks; ++i) {
        AddBlock(blocks[i] + offset, weights + i * kBlock, &sums, fetch);
      }
    }
    for (; i < count; ++i) {
      AddBlock(blocks[i] + offset, weights + i * kBlock, &sums, fetch);
    }
    if constexpr (UnitsOf::kAddedUp) {
      Float added[UnitsOf::kKept];
      Lanes::template AddUp<kPeriod>(sums, &added);
#pragma GCC unroll 4
      for (int i = 0; i < UnitsOf::kKept; ++i) kept[i] = set ? added[i] : kept[i] + added[i];
    } else {
#pragma GCC unroll 4
      for (int u = 0; u < UnitsOf::kCount; ++u) {
#pragma GCC unroll 8
        for (int h = 0; h < kHeads; ++h) kept[u * kHeads + h] = sums[u][h];
      }
    }
  }

  template <int kUnits, int kHeads>
  [[gnu::always_inline]] static void AddBlock(const uint8_t* from, const float* weights,
                                              Float (*sums)[kUnits][kHeads], Fetch* fetch) {
    constexpr int64_t kFetched = kUnits * kUnitBytes > 64 ? kUnits * kUnitBytes : 64;
    fetch->template Step<kFetched>();
#pragma GCC unroll 8
    for (int v = 0; v < kRowVectors; ++v) {
      Float parts[kUnits][kParts];
#pragma GCC unroll 4
      for (int u = 0; u < kUnits; ++u) {
        Vec::template LoadParts<kFormat>(from + u * kUnitBytes + v * kVectorBytes, parts[u]);
      }
#pragma GCC unroll 4
      for (int p = 0; p < kParts; ++p) {
#pragma GCC unroll 8
        for (int h = 0; h < kHeads; ++h) {
          const Float weight = Vec::InRegister(Vec::template LoadRepeated<kPeriod>(
              weights + h * kWeightPitch + (v * kParts + p) * kPeriod));
#pragma GCC unroll 4
          for (int u = 0; u < kUnits; ++u) {
            (*sums)[u][h] = Vec::MulAdd(parts[u][p], weight, (*sums)[u][h]);
          }
        }
      }
    }
  }

  template <int kUnits, int kHeads>
  static void CopyAll(const Float* from, Float (*to)[kUnits][kHeads]) {
#pragma GCC unroll 4
    for (int u = 0; u < kUnits; ++u) Copy(from + u * kHeads, &(*to)[u]);
  }
  template <int kCount>
  static void Copy(const Float* from, Float (*to)[kCount]) {
#pragma GCC unroll 8
    for (int i = 0; i < kCount; ++i) (*to)[i] = from[i];
  }
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_VALUES_CPU_H_
