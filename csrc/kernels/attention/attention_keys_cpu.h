// Dot products of the keys of 8 tokens with the queries of several heads. Keys are widened as they
// are loaded, once for all heads of a tile.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_KEYS_CPU_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_KEYS_CPU_H_

#include <cstdint>

#include "csrc/kernels/attention/attention_fetch_cpu.h"
#include "csrc/kernels/attention/attention_lanes_cpu.h"
#include "csrc/kernels/attention/attention_order_cpu.h"
#include "csrc/kernels/attention/attention_plan_cpu.h"
#include "csrc/kernels/common/vec_format.h"

namespace stablekv {

// Token t's elements lie in chunks of 16 bytes next to those of token t + 1, so that a vector has
// chunks of several tokens. Lanes of different tokens are never added. The blocks of a group are
// read in turn.
//
// With kPairs, both keys and queries are bfloat16, two to a lane, and a lane's products are added
// up as they are made. Subnormal numbers are then taken for 0.
template <class Vec, VecFormat kFormat, bool kPairs>
class AttentionKeys {
 public:
  using Fetch = AttentionFetch<Vec>;

  static constexpr int kLaneElements = kPairs ? 2 : 1;
  static constexpr int kChunk = 16 / BytesOf(kFormat) / kLaneElements;  // lanes, of all parts
  static constexpr int kParts = Vec::template kParts<kFormat> / kLaneElements;
  static constexpr int kTileHeads = Vec::template kTileHeads<kFormat>;

  // out[h * kWeightPitch + i * block_size + t] = dot(key t of block i, query h) for the first
  // `count` blocks of `group` and as many heads as a tile for `heads` has. Queries are kMaxHeadSize
  // floats, or pairs, apart, each in the order of Reorder<kParts, kChunk>. Meanwhile fetches.
  static void Run(const BlockGroup& group, int64_t count, int64_t block_size, int64_t head_size,
                  const float* queries, int64_t heads, float* out, Fetch* fetch) {
    Lanes::template ForTile<kTileHeads>(heads, [&](auto tile) {
      RunHeads<decltype(tile)::kCount>(group.blocks, count, block_size,
                                       head_size * BytesOf(kFormat) / 16, queries, out, fetch);
    });
  }

 private:
  using Float = typename Vec::Float;
  using Lanes = AttentionLanes<Vec>;

  static constexpr int kPeriod = kChunk / kParts;  // lanes of a token
  static constexpr int kTokensOfVector = Vec::kLanes / kPeriod;
  static constexpr int64_t kVectorBytes = 16 * kTokensOfVector;

  static Float MulAdd(Float a, Float b, Float c) {
    if constexpr (kPairs) {
      return Vec::MulAddPairs(a, b, c);
    } else {
      return Vec::MulAdd(a, b, c);
    }
  }

  // Vectors of a block that are worked on at a time: those of `tokens` tokens if there are
  // registers for their parts and sums, or some of them.
  template <int kHeads>
  static constexpr int Rows(int tokens) {
    const int all = tokens / kTokensOfVector;
    if (tokens > 8) {
      const bool fits =
          all * kHeads <= Vec::kTileSums && all * (kHeads + kParts) < 2 * Vec::kTileSums;
      return fits ? all : Rows<kHeads>(8);
    }
    const int most = Vec::kTileSums / kHeads;
    return most >= all ? all : most >= 4 ? 4 : most >= 2 ? 2 : 1;
  }

  template <int kHeads>
  [[gnu::noinline]] static void RunHeads(const uint8_t* const* blocks, int64_t count,
                                         int64_t block_size, int64_t chunks, const float* queries,
                                         float* out, Fetch* fetch) {
    constexpr int kRows = Rows<kHeads>(16);
    constexpr int kFitting = Vec::kTileSums / (kRows * kHeads);
    constexpr int kBlocks = kFitting >= 4 ? 4 : kFitting >= 2 ? 2 : 1;
    Fetch local_fetch = *fetch;  // in registers
    int64_t i = 0;
    if (block_size >= kRows * kTokensOfVector) {
      for (; i + kBlocks <= count; i += kBlocks) {
        RunBlocks<kHeads, kBlocks, kRows>(blocks + i, block_size, chunks, queries,
                                          out + i * block_size, &local_fetch);
      }
    }
    for (; i < count; ++i) {
      RunBlocks<kHeads, 1, Rows<kHeads>(8)>(blocks + i, block_size, chunks, queries,
                                            out + i * block_size, &local_fetch);
    }
    *fetch = local_fetch;
  }

  template <int kHeads, int kBlocks, int kRows>
  [[gnu::always_inline]] static void RunBlocks(const uint8_t* const* blocks, int64_t block_size,
                                               int64_t chunks, const float* queries, float* out,
                                               Fetch* fetch) {
    for (int64_t token = 0; token < block_size; token += kRows * kTokensOfVector) {
      Tile<kHeads, kBlocks, kRows>(blocks, token * 16, block_size, chunks, queries, out + token,
                                   fetch);
    }
  }

  // kRows vectors of each of kBlocks blocks.
  template <int kHeads, int kBlocks, int kRows>
  [[gnu::always_inline]] static void Tile(const uint8_t* const* blocks, int64_t offset,
                                          int64_t block_size, int64_t chunks, const float* queries,
                                          float* out, Fetch* fetch) {
    constexpr int64_t kFetched = kRows * kVectorBytes > 64 ? kRows * kVectorBytes : 64;
    Float sums[kBlocks * kRows][kHeads];
    Lanes::Clear(&sums);
    const uint8_t* from[kBlocks];
#pragma GCC unroll 4
    for (int i = 0; i < kBlocks; ++i) from[i] = blocks[i] + offset;
    const float* query = queries;
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
#pragma GCC unroll 4
      for (int i = 0; i < kBlocks; ++i) {
        fetch->template Step<kFetched>();
        Float parts[kRows][kParts];
#pragma GCC unroll 8
        for (int r = 0; r < kRows; ++r) {
          if constexpr (kPairs) {
            Vec::template LoadPairs<kFormat>(from[i] + r * kVectorBytes, parts[r]);
          } else {
            Vec::template LoadParts<kFormat>(from[i] + r * kVectorBytes, parts[r]);
          }
        }
        from[i] += block_size * 16;
#pragma GCC unroll 4
        for (int p = 0; p < kParts; ++p) {
#pragma GCC unroll 8
          for (int h = 0; h < kHeads; ++h) {
            const Float factor = Vec::InRegister(
                Vec::template LoadRepeated<kPeriod>(query + h * kMaxHeadSize + p * kPeriod));
#pragma GCC unroll 8
            for (int r = 0; r < kRows; ++r) {
              Float* const sum = &sums[i * kRows + r][h];
              *sum = MulAdd(parts[r][p], factor, *sum);
            }
          }
        }
      }
      query += kChunk;
    }
    Float added[Lanes::template SumVectors<kPeriod>(kBlocks * kRows * kHeads)];
    Lanes::template AddUp<kPeriod>(sums, &added);
    Lanes::template WriteSums<kPeriod, kRows, kBlocks * kRows, kHeads>(added, kHeads, out,
                                                                       kWeightPitch, block_size);
  }
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_KEYS_CPU_H_
