// Weighted sums of values over tokens, for 8 or 16 heads, by AMX.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_VALUES_AMX_CPU_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_VALUES_AMX_CPU_H_

#include <cstdint>

#include "csrc/kernels/attention/attention_fetch_amx_cpu.h"
#include "csrc/kernels/attention/attention_tiles_amx_cpu.h"
#include "csrc/kernels/common/vec_amx.h"
#include "csrc/kernels/common/vec_format.h"

namespace stablekv {

// 16 elements of the head are the rows of a tile, the tokens of some blocks its width. Sums stay in
// tiles for all blocks, so that a block is visited once for every few of them.
template <VecFormat kFormat, int kBlock>
class AttentionValuesAmx {
 public:
  static constexpr int kRows = 16;
  static constexpr int64_t kColumns = 16;

  // sums[element, column] = sum over tokens of the sum of a weight's factors * value. Weights: for
  // each of `factors`, kAmxTokens / 2 pairs of tokens, both weights of 16 columns; zeros from
  // the last token to a multiple of 32. The core's tiles are to have the shapes (kRows,
  // kColumns).
  static void Run(const uint8_t* const* blocks, int64_t count, int64_t head_size,
                  const uint32_t* weights, int64_t factors, float* sums, AmxFetch<kFormat>* fetch) {
    const auto run = factors == 1 ? &RunFactors<1> : &RunFactors<2>;
    run(blocks, count, head_size, weights, sums, fetch);
  }

 private:
  static constexpr int kBlocks = 32 / kBlock;  // of a row
  using Tiles = AttentionTilesAmx<kFormat, kBlocks, kRows, 64>;

  static constexpr int64_t kTileRow = kBlock * BytesOf(kFormat);

  template <int kFactors>
  static void RunFactors(const uint8_t* const* blocks, int64_t count, int64_t head_size,
                         const uint32_t* weights, float* sums, AmxFetch<kFormat>* fetch) {
    const int64_t whole = head_size / (kRows * Tiles::kTiles) * (kRows * Tiles::kTiles);
    if (whole > 0) {
      SumTiles<Tiles::kTiles, kFactors>(blocks, 0, whole, count, weights, sums, fetch);
    }
    for (int64_t first = whole; first < head_size; first += kRows) {
      // Of the last one some rows may have been done before: they are done again.
      const int64_t last = head_size - kRows;
      const int64_t begin = first < last ? first : last;
      SumTiles<1, kFactors>(blocks, begin, begin + kRows, count, weights, sums, fetch);
    }
  }

  // Elements [begin, end), a multiple of kTiles tiles. All in one function, or the loop keeps what
  // it fetches in memory.
  template <int kTiles, int kFactors>
  [[gnu::flatten]] static void SumTiles(const uint8_t* const* blocks, int64_t begin, int64_t end,
                                        int64_t count, const uint32_t* weights, float* sums,
                                        AmxFetch<kFormat>* fetch) {
    const int64_t units = (count + kBlocks - 1) / kBlocks;
    typename Tiles::Rows rows[2];
    int64_t next = 0;
    int64_t next_first = begin;
    const auto find = [&](int64_t tile, typename Tiles::Lines& lines) {
      for (int64_t i = 0; i < kBlocks; ++i) {
        const int64_t block = next * kBlocks + i;
        lines[i] =
            block < count ? blocks[block] + (next_first + tile * kRows) * kTileRow : Tiles::kZeros;
      }
    };
    AmxFetch<kFormat> local_fetch = *fetch;  // in registers
    Tiles::template MakeRows<kTiles>(find, &rows[0], &local_fetch);
    int turn = 0;
    for (int64_t first = begin; first < end; first += kTiles * kRows) {
      amx::ForTiles<kTiles>([](auto i) { amx::ClearTile<i>(); });
      for (int64_t unit = 0; unit < units; ++unit) {
        next = unit + 1;
        if (next == units) {
          next = 0;  // once more, past the last one
          next_first = first + kTiles * kRows < end ? first + kTiles * kRows : first;
        }
        Tiles::template Multiply<kTiles, kFactors>(
            rows[turn], weights + unit * Tiles::kPairs * kColumns, kAmxTokens / 2 * kColumns,
            kColumns, find, &rows[1 - turn], &local_fetch);
        turn = 1 - turn;
      }
      amx::ForTiles<kTiles>(
          [&](auto i) { amx::StoreTile<i>(sums + (first + i * kRows) * kColumns, kColumns * 4); });
    }
    *fetch = local_fetch;
  }
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_VALUES_AMX_CPU_H_
