// Dot products of the keys of 8 tokens with the queries of several heads. Keys are widened as they
// are loaded, once for all heads of a tile.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_KEYS_CPU_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_KEYS_CPU_H_

#include <cstdint>

#include "csrc/kernels/attention/attention_fetch_cpu.h"
#include "csrc/kernels/attention/attention_lanes_cpu.h"
#include "csrc/kernels/attention/attention_plan_cpu.h"
#include "csrc/kernels/common/vec_format.h"

namespace stablekv {

// Token t's elements lie in chunks of 16 bytes next to those of token t + 1, so that a vector has
// chunks of several tokens. Lanes of different tokens are never added.
template <class Vec, VecFormat kFormat>
class AttentionKeys {
 public:
  static constexpr int kTokens = 8;  // of one call
  static constexpr int kChunk = 16 / BytesOf(kFormat);
  static constexpr int kParts = Vec::template kParts<kFormat>;

  // out[h * out_pitch + t] = dot(key t, query h) for 8 tokens and as many heads as a tile for
  // `heads` has. Queries are kMaxHeadSize floats apart, each in the order of
  // Reorder<kParts, kChunk>.
  static void Run(const uint8_t* keys, int64_t chunk_stride, int64_t head_size,
                  const float* queries, int64_t heads, float* out, int64_t out_pitch,
                  AttentionFetch<Vec>* fetch) {
    constexpr int kSix = Vec::kTileHeads < 6 ? Vec::kTileHeads : 6;
    const int64_t tile = Lanes::TileHeads(heads);
    const auto run = tile == 1   ? &Tile<1>
                     : tile == 2 ? &Tile<2>
                     : tile == 4 ? &Tile<4>
                     : tile == 6 ? &Tile<kSix>
                                 : &Tile<Vec::kTileHeads>;
    run(keys, chunk_stride, head_size / kChunk, queries, out, out_pitch, fetch);
  }

 private:
  using Float = typename Vec::Float;
  using Lanes = AttentionLanes<Vec>;

  static constexpr int kPeriod = kChunk / kParts;  // lanes of a token
  static constexpr int kTokensOfVector = Vec::kLanes / kPeriod;
  static constexpr int64_t kVectorBytes = 16 * kTokensOfVector;

  template <int kHeads>
  static void Tile(const uint8_t* keys, int64_t chunk_stride, int64_t chunks, const float* queries,
                   float* out, int64_t out_pitch, AttentionFetch<Vec>* fetch) {
    constexpr int kAll = kTokens / kTokensOfVector;
    constexpr int kMost = Vec::kTileSums / kHeads;
    constexpr int kRows = kMost >= kAll ? kAll : kMost >= 4 ? 4 : kMost >= 2 ? 2 : 1;
    AttentionFetch<Vec> local_fetch = *fetch;  // in registers
    for (int first = 0; first < kAll; first += kRows) {
      Float sums[kRows][kHeads];
      Lanes::Clear(&sums);
      const uint8_t* from = keys + first * kVectorBytes;
      const float* query = queries;
      for (int64_t i = 0; i < chunks; ++i) {
        local_fetch.template Step<(kRows * kVectorBytes > 64 ? kRows * kVectorBytes : 64)>();
        Float parts[kRows][kParts];
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) {
          Vec::template LoadParts<kFormat>(from + r * kVectorBytes, parts[r]);
        }
#pragma GCC unroll 4
        for (int p = 0; p < kParts; ++p) {
#pragma GCC unroll 8
          for (int h = 0; h < kHeads; ++h) {
            const Float factor = Vec::InRegister(
                Vec::template LoadRepeated<kPeriod>(query + h * kMaxHeadSize + p * kPeriod));
#pragma GCC unroll 8
            for (int r = 0; r < kRows; ++r) {
              sums[r][h] = Vec::MulAdd(parts[r][p], factor, sums[r][h]);
            }
          }
        }
        from += chunk_stride;
        query += kChunk;
      }
      Lanes::template WriteSums<kPeriod>(sums, out + first * kTokensOfVector, out_pitch);
    }
    *fetch = local_fetch;
  }
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_KEYS_CPU_H_
