// Dot products of keys with the queries of 8 or 16 heads, by AMX.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_KEYS_AMX_CPU_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_KEYS_AMX_CPU_H_

#include <cstdint>

#include "csrc/kernels/attention/attention_fetch_cpu.h"
#include "csrc/kernels/attention/attention_plan_cpu.h"
#include "csrc/kernels/common/vec_amx.h"
#include "csrc/kernels/common/vec_format.h"

namespace stablekv {

// Tokens are the rows of a tile, and a chunk of their elements, 16 bytes of the cache, its width.
// Chunks of neighbouring tokens lie next to each other, so that a tile is loaded as it stands; fp8
// is widened first. What it is multiplied with is a chunk of the queries.
template <VecFormat kFormat, int kBlock>
class AttentionKeysAmx {
 public:
  static constexpr int kTileTokens = kBlock < 16 ? kBlock : 16;
  static constexpr int kChunk = 16 / BytesOf(kFormat);  // elements
  static constexpr int kRowBytes = kChunk * 2;          // of a token in a tile

  // scores[set, token, column] = dot(key of token, query of column), for whole tiles of tokens;
  // they may go on to the next multiple of 4 tiles. Queries: for each set and each pair of
  // elements, both elements of 16 columns. The core's tiles are to have the shapes
  // (kTileTokens, kRowBytes).
  static void Run(const uint8_t* const* blocks, int64_t count, int64_t head_size,
                  const uint32_t* queries, int sets, float* scores,
                  AttentionFetch<amx::Vec>* fetch) {
    const auto run = sets == 1 ? &RunSets<1> : &RunSets<2>;
    run(blocks, count, head_size, queries, scores, fetch);
  }

 private:
  static constexpr int kBlockTiles = kBlock / kTileTokens;
  static constexpr int64_t kChunkBytes = kBlock * kRowBytes;
  static constexpr int64_t kWidened = BytesOf(kFormat) == 1 ? 2 : 0;  // bytes of a widened element

  template <int kSets>
  static void RunSets(const uint8_t* const* blocks, int64_t count, int64_t head_size,
                      const uint32_t* queries, float* scores, AttentionFetch<amx::Vec>* fetch) {
    constexpr int kTiles = 4 / kSets;
    alignas(64) uint8_t widened[kWidened * kMaxHeadSize * kBlock * kTiles / kBlockTiles];
    const int64_t widened_bytes = kWidened * head_size * kBlock;
    for (int64_t first = 0; first < count * kBlockTiles; first += kTiles) {
      const uint8_t* rows[kTiles];
      const uint8_t* tile = nullptr;
      for (int i = 0; i < kTiles; ++i) {
        const int64_t block = (first + i) / kBlockTiles;
        // Past the last block, that one again: these scores are not used.
        if (block < count) {
          tile = i % kBlockTiles == 0
                     ? amx::Vec::AsBFloat16<kFormat>(blocks[block], head_size * kBlock,
                                                     widened + i / kBlockTiles * widened_bytes)
                     : tile + kTileTokens * kRowBytes;
        }
        rows[i] = tile;
      }
      Multiply<kSets, kTiles>(rows, head_size / kChunk, queries, scores + first * kTileTokens * 16,
                              fetch);
    }
  }

  template <int kSets, int kTiles>
  static void Multiply(const uint8_t* const (&rows)[kTiles], int64_t chunks,
                       const uint32_t* queries, float* scores, AttentionFetch<amx::Vec>* fetch) {
    constexpr int64_t kChunkQueries = kChunk / 2 * 16;
    AttentionFetch<amx::Vec> local_fetch = *fetch;  // in registers
    amx::ForTiles<kSets * kTiles>([](auto i) { amx::ClearTile<i>(); });
    for (int64_t c = 0; c < chunks; ++c) {
      amx::ForTiles<kSets>([&](auto set) {
        amx::LoadTile<6 + set>(queries + (set * chunks + c) * kChunkQueries, 64);
      });
      amx::ForTiles<kTiles>([&](auto tile) {
        amx::LoadTile<4 + tile % 2>(rows[tile] + c * kChunkBytes, kRowBytes);
        local_fetch.template Step<kTileTokens * 16>();
        amx::AddProducts<kSets, kTiles, tile, 4 + tile % 2>();
      });
    }
    amx::ForTiles<kSets * kTiles>([&](auto i) {
      const int64_t token = i / kTiles * kPartitionSize + i % kTiles * kTileTokens;
      amx::StoreTile<i>(scores + token * 16, 64);
    });
    *fetch = local_fetch;
  }
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_KEYS_AMX_CPU_H_
