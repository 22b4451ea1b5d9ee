// Dot products of keys with the queries of 8 or 16 heads, by AMX.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_KEYS_AMX_CPU_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_KEYS_AMX_CPU_H_

#include <cstdint>

#include "csrc/kernels/attention/attention_fetch_amx_cpu.h"
#include "csrc/kernels/attention/attention_tiles_amx_cpu.h"
#include "csrc/kernels/common/vec_amx.h"
#include "csrc/kernels/common/vec_format.h"

namespace stablekv {

// Tokens are the rows of a tile, and several chunks of their elements, each 16 bytes of the cache,
// its width. Queries are padded with zeros to whole rows.
template <VecFormat kFormat, int kBlock>
class AttentionKeysAmx {
 public:
  static constexpr int kTileTokens = kBlock < 16 ? kBlock : 16;

  // scores[token, column] = dot(key of token, sum of the query parts of column), for whole tiles of
  // tokens; they may go on to the next multiple of 4 tiles. Queries: for each of `parts` and each
  // pair of elements, both elements of all columns. The core's tiles are to have the shapes
  // (kTileTokens, columns).
  static void Run(const uint8_t* const* blocks, int64_t count, int64_t head_size,
                  const uint32_t* queries, int64_t parts, int64_t columns, float* scores,
                  AmxFetch<kFormat>* fetch) {
    const auto run = parts == 1 ? &RunParts<1> : &RunParts<2>;
    run(blocks, count, head_size, queries, columns, scores, fetch);
  }

 private:
  static constexpr int kChunks = 2 * BytesOf(kFormat);  // of a row
  // A quarter of the values is left to be fetched during the softmax.
  using Tiles = AttentionTilesAmx<kFormat, kChunks, kTileTokens, 48>;

  static constexpr int kTiles = Tiles::kTiles;
  static constexpr int64_t kBlockTiles = kBlock / kTileTokens;

  // Past the last tile, that one again: these scores are not used.
  static void FindTiles(const uint8_t* const* blocks, int64_t count, int64_t first,
                        const uint8_t** tiles) {
    for (int64_t i = 0; i < kTiles; ++i) {
      const int64_t last = count * kBlockTiles - 1;
      const int64_t tile = first + i < last ? first + i : last;
      tiles[i] = blocks[tile / kBlockTiles] + tile % kBlockTiles * kTileTokens * 16;
    }
  }

  // All in one function, or the loop keeps what it fetches in memory.
  template <int kParts>
  [[gnu::flatten]] static void RunParts(const uint8_t* const* blocks, int64_t count,
                                        int64_t head_size, const uint32_t* queries, int64_t columns,
                                        float* scores, AmxFetch<kFormat>* fetch) {
    const int64_t chunks = head_size * BytesOf(kFormat) / 16;
    const int64_t units = (chunks + kChunks - 1) / kChunks;
    typename Tiles::Rows rows[2];
    const uint8_t* tiles[kTiles];
    int64_t next = 0;
    const auto find = [&](int64_t tile, typename Tiles::Lines& lines) {
      for (int64_t i = 0; i < kChunks; ++i) {
        const int64_t chunk = next * kChunks + i;
        lines[i] = chunk < chunks ? tiles[tile] + chunk * kBlock * 16 : Tiles::kZeros;
      }
    };
    AmxFetch<kFormat> local_fetch = *fetch;  // in registers
    FindTiles(blocks, count, 0, tiles);
    Tiles::template MakeRows<kTiles>(find, &rows[0], &local_fetch);
    int turn = 0;
    for (int64_t first = 0; first < count * kBlockTiles; first += kTiles) {
      amx::ForTiles<kTiles>([](auto i) { amx::ClearTile<i>(); });
      for (int64_t unit = 0; unit < units; ++unit) {
        next = unit + 1;
        if (next == units) {
          next = 0;
          FindTiles(blocks, count, first + kTiles, tiles);
        }
        Tiles::template Multiply<kTiles, kParts>(
            rows[turn], queries + unit * Tiles::kPairs * columns, units * Tiles::kPairs * columns,
            columns, find, &rows[1 - turn], &local_fetch);
        turn = 1 - turn;
      }
      amx::ForTiles<kTiles>([&](auto i) {
        amx::StoreTile<i>(scores + (first + i) * kTileTokens * columns, columns * 4);
      });
    }
    *fetch = local_fetch;
  }
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_KEYS_AMX_CPU_H_
