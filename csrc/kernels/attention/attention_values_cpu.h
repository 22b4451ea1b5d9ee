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
// part of a long one. Sums stay in registers for all blocks of a tile, so that a block is visited
// once for every few rows; its lanes are added up when all blocks are done.
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
    constexpr int kSix = Vec::kTileHeads < 6 ? Vec::kTileHeads : 6;
    const int64_t tile = Lanes::TileHeads(heads);
    const auto run = tile == 1   ? &RunHeads<1>
                     : tile == 2 ? &RunHeads<2>
                     : tile == 4 ? &RunHeads<4>
                     : tile == 6 ? &RunHeads<kSix>
                                 : &RunHeads<Vec::kTileHeads>;
    run(blocks, count, head_size, weights, out, out_pitch, fetch);
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

  template <int kHeads>
  static void RunHeads(const uint8_t* const* blocks, int64_t count, int64_t head_size,
                       const float* weights, float* out, int64_t out_pitch,
                       AttentionFetch<Vec>* fetch) {
    // With four parts there are no registers for more than two units.
    constexpr int kUnits = kParts < 4 && Vec::kTileSums / kHeads >= 4 ? 4 : 2;
    const int64_t units = head_size / kUnitRows;
    int64_t unit = 0;
    for (; unit + kUnits <= units; unit += kUnits) {
      Tile<kHeads, kUnits>(blocks, unit * kUnitBytes, count, weights, out + unit * kUnitRows,
                           out_pitch, fetch);
    }
    for (; unit < units; ++unit) {
      Tile<kHeads, 1>(blocks, unit * kUnitBytes, count, weights, out + unit * kUnitRows, out_pitch,
                      fetch);
    }
  }

  template <int kHeads, int kUnits>
  static void Tile(const uint8_t* const* blocks, int64_t offset, int64_t count,
                   const float* weights, float* out, int64_t out_pitch,
                   AttentionFetch<Vec>* fetch) {
    constexpr int64_t kFetched = kUnits * kUnitBytes > 64 ? kUnits * kUnitBytes : 64;
    AttentionFetch<Vec> local_fetch = *fetch;  // in registers
    Float sums[kUnits][kHeads];
    Lanes::Clear(&sums);
    for (int64_t i = 0; i < count; ++i) {
      const uint8_t* const from = blocks[i] + offset;
      local_fetch.template Step<kFetched>();
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
    Lanes::template WriteSums<kPeriod>(sums, out, out_pitch);
    *fetch = local_fetch;
  }
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_VALUES_CPU_H_
