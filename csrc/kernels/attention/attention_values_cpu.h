// Weighted sums of values over tokens, for several heads. Values are widened as they are loaded,
// once for all heads of a tile.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_VALUES_CPU_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_VALUES_CPU_H_

#include <cstdint>

#include "csrc/kernels/attention/attention_fetch_cpu.h"
#include "csrc/kernels/attention/attention_lanes_cpu.h"
#include "csrc/kernels/attention/attention_plan_cpu.h"
#include "csrc/kernels/common/vec_format.h"

namespace stablekv {

// A row is one element of the head for all tokens of a block. A vector has several short rows, or a
// part of a long one. A few blocks are read in turn, from their first row to their last, which the
// core's own prefetcher follows; their sums' lanes are added up when all blocks are done.
template <class Vec, VecFormat kFormat, int kBlock>
class AttentionValues {
 public:
  static constexpr int kParts = Vec::template kParts<kFormat>;

  // out[h * out_pitch + d] = sum_t weights[h, t] * value[t, d] over the tokens of `count` blocks,
  // for as many heads as a tile for `heads` has. Weights of heads are kWeightPitch floats
  // apart, in the order of Reorder<kParts, kBlock>.
  static void Run(const uint8_t* const* blocks, int64_t count, int64_t head_size,
                  const float* weights, int64_t heads, float* out, int64_t out_pitch,
                  AttentionFetch<Vec>* fetch) {
    Lanes::ForTile(heads, [&](auto tile) {
      RunHeads<decltype(tile)::kCount>(blocks, count, head_size, weights, out, out_pitch, fetch);
    });
  }

 private:
  using Float = typename Vec::Float;
  using Lanes = AttentionLanes<Vec>;

  static constexpr int kRowLanes = kBlock / kParts;
  static constexpr int kPeriod = kRowLanes < Vec::kLanes ? kRowLanes : Vec::kLanes;
  static constexpr int kRowVectors = kRowLanes / kPeriod;
  static constexpr int64_t kVectorBytes = Vec::kLanes * kParts * BytesOf(kFormat);
  // A unit is the vectors of a row, or a vector of several rows.
  static constexpr int64_t kUnitBytes = kVectorBytes * kRowVectors;
  static constexpr int kUnitRows = Vec::kLanes / kPeriod;

  // Sums of one unit.
  template <int kHeads>
  using Sums = Float[kHeads];

  template <int kHeads>
  static void RunHeads(const uint8_t* const* blocks, int64_t count, int64_t head_size,
                       const float* weights, float* out, int64_t out_pitch,
                       AttentionFetch<Vec>* fetch) {
    // With four parts there are no registers for more than two units.
    constexpr int kUnits = kParts < 4 && Vec::kTileSums / kHeads >= 4 ? 4 : 2;
    // Blocks that are read in turn. For more heads twice as many: fewer sums to load and store.
    constexpr int64_t kBlocks = AttentionFetch<Vec>::kStreams * (kHeads <= 2 ? 1 : 2);
    static_assert(kUnitRows <= 8, "head sizes are multiples of 8, so that most have no rest");
    constexpr bool kRest = 8 / kUnitRows % kUnits != 0;
    const int64_t units = head_size / kUnitRows;
    const int64_t whole = units / kUnits * kUnits;
    Sums<kHeads> sums[kMaxHeadSize / kUnitRows];  // set by the first blocks
    AttentionFetch<Vec> local_fetch = *fetch;     // in registers
    for (int64_t first = 0; first < count; first += kBlocks) {
      const int64_t some = count - first < kBlocks ? count - first : kBlocks;
      for (int64_t unit = 0; unit < whole; unit += kUnits) {
        Add<kHeads, kUnits>(first == 0, blocks + first, unit * kUnitBytes, some,
                            weights + first * kBlock, sums + unit, &local_fetch);
      }
      for (int64_t unit = whole; kRest && unit < units; ++unit) {
        Add<kHeads, 1>(first == 0, blocks + first, unit * kUnitBytes, some,
                       weights + first * kBlock, sums + unit, &local_fetch);
      }
    }
    *fetch = local_fetch;
    for (int64_t unit = 0; unit < whole; unit += kUnits) {
      Write<kHeads, kUnits>(sums + unit, out + unit * kUnitRows, out_pitch);
    }
    for (int64_t unit = whole; kRest && unit < units; ++unit) {
      Write<kHeads, 1>(sums + unit, out + unit * kUnitRows, out_pitch);
    }
  }

  // Adds `count` blocks' share to the sums of kUnits units, or sets them to it.
  template <int kHeads, int kUnits>
  [[gnu::always_inline]] static void Add(bool set, const uint8_t* const* blocks, int64_t offset,
                                         int64_t count, const float* weights, Sums<kHeads>* kept,
                                         AttentionFetch<Vec>* fetch) {
    constexpr int64_t kFetched = kUnits * kUnitBytes > 64 ? kUnits * kUnitBytes : 64;
    Sums<kHeads> sums[kUnits];
    if (set) {
      Lanes::Clear(&sums);
    } else {
      Copy<kHeads, kUnits>(kept, sums);
    }
    for (int64_t i = 0; i < count; ++i) {
      const uint8_t* const from = blocks[i] + offset;
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
              sums[u][h] = Vec::MulAdd(parts[u][p], weight, sums[u][h]);
            }
          }
        }
      }
      weights += kBlock;
    }
    Copy<kHeads, kUnits>(sums, kept);
  }

  template <int kHeads, int kUnits>
  static void Write(const Sums<kHeads>* from, float* out, int64_t out_pitch) {
    Sums<kHeads> sums[kUnits];
    Copy<kHeads, kUnits>(from, sums);
    Lanes::template WriteSums<kPeriod, kUnits>(sums, out, out_pitch, 0);
  }

  template <int kHeads, int kUnits>
  static void Copy(const Sums<kHeads>* from, Sums<kHeads>* to) {
#pragma GCC unroll 4
    for (int u = 0; u < kUnits; ++u) {
#pragma GCC unroll 8
      for (int h = 0; h < kHeads; ++h) to[u][h] = from[u][h];
    }
  }
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_VALUES_CPU_H_
