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
// chunks of several tokens. Lanes of different tokens are never added. Up to
// kStreams blocks are read in turn.
template <class Vec, VecFormat kFormat>
class AttentionKeys {
 public:
  using Fetch = AttentionFetch<Vec>;

  static constexpr int kChunk = 16 / BytesOf(kFormat);
  static constexpr int kParts = Vec::template kParts<kFormat>;

  // out[h * kWeightPitch + i * block_size + t] = dot(key t of block i, query h) for `count` blocks
  // and as many heads as a tile for `heads` has. Queries are kMaxHeadSize floats apart, each in the
  // order of Reorder<kParts, kChunk>.
  static void Run(const uint8_t* const* blocks, int64_t count, int64_t block_size,
                  int64_t head_size, const float* queries, int64_t heads, float* out,
                  Fetch* fetch) {
    Lanes::ForTile(heads, [&](auto tile) {
      RunHeads<decltype(tile)::kCount>(blocks, count, block_size, head_size / kChunk, queries, out,
                                       fetch);
    });
  }

 private:
  using Float = typename Vec::Float;
  using Lanes = AttentionLanes<Vec>;

  static constexpr int kPeriod = kChunk / kParts;  // lanes of a token
  static constexpr int kTokensOfVector = Vec::kLanes / kPeriod;
  static constexpr int64_t kVectorBytes = 16 * kTokensOfVector;
  static constexpr int kAll = 8 / kTokensOfVector;  // vectors of the smallest block's tokens

  template <int kHeads>
  static void RunHeads(const uint8_t* const* blocks, int64_t count, int64_t block_size,
                       int64_t chunks, const float* queries, float* out, Fetch* fetch) {
    constexpr int kMost = Vec::kTileSums / kHeads;
    constexpr int kRows = kMost >= kAll ? kAll : kMost >= 4 ? 4 : kMost >= 2 ? 2 : 1;
    constexpr int kRowRegisters = kRows * (kHeads > kParts ? kHeads : kParts);
    constexpr int kFitting = Vec::kTileSums / kRowRegisters;
    constexpr int kBlocks = kFitting >= Fetch::kStreams ? Fetch::kStreams : 1;
    int64_t i = 0;
    for (; i + kBlocks <= count; i += kBlocks) {
      RunBlocks<kHeads, kBlocks, kRows>(blocks + i, block_size, chunks, queries,
                                        out + i * block_size, fetch);
    }
    for (; i < count; ++i) {
      RunBlocks<kHeads, 1, kRows>(blocks + i, block_size, chunks, queries, out + i * block_size,
                                  fetch);
    }
  }

  template <int kHeads, int kBlocks, int kRows>
  static void RunBlocks(const uint8_t* const* blocks, int64_t block_size, int64_t chunks,
                        const float* queries, float* out, Fetch* fetch) {
    for (int64_t token = 0; token < block_size; token += kRows * kTokensOfVector) {
      Tile<kHeads, kBlocks, kRows>(blocks, token * 16, block_size, chunks, queries, out + token,
                                   fetch);
    }
  }

  // kRows vectors of each of kBlocks blocks.
  template <int kHeads, int kBlocks, int kRows>
  static void Tile(const uint8_t* const* blocks, int64_t offset, int64_t block_size, int64_t chunks,
                   const float* queries, float* out, Fetch* fetch) {
    constexpr int kFetched = kBlocks * kRows * kVectorBytes;
    Fetch local_fetch = *fetch;  // in registers
    Float sums[kBlocks * kRows][kHeads];
    Lanes::Clear(&sums);
    const uint8_t* from[kBlocks];
#pragma GCC unroll 4
    for (int i = 0; i < kBlocks; ++i) from[i] = blocks[i] + offset;
    const float* query = queries;
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      local_fetch.template Step<(kFetched > 64 ? kFetched : 64)>();
      Float parts[kBlocks * kRows][kParts];
#pragma GCC unroll 4
      for (int i = 0; i < kBlocks; ++i) {
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) {
          Vec::template LoadParts<kFormat>(from[i] + r * kVectorBytes, parts[i * kRows + r]);
        }
        from[i] += block_size * 16;
      }
#pragma GCC unroll 4
      for (int p = 0; p < kParts; ++p) {
#pragma GCC unroll 8
        for (int h = 0; h < kHeads; ++h) {
          const Float factor = Vec::InRegister(
              Vec::template LoadRepeated<kPeriod>(query + h * kMaxHeadSize + p * kPeriod));
#pragma GCC unroll 16
          for (int r = 0; r < kBlocks * kRows; ++r) {
            sums[r][h] = Vec::MulAdd(parts[r][p], factor, sums[r][h]);
          }
        }
      }
      query += kChunk;
    }
    Lanes::template WriteSums<kPeriod, kRows>(sums, out, kWeightPitch, block_size);
    *fetch = local_fetch;
  }
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_KEYS_CPU_H_
