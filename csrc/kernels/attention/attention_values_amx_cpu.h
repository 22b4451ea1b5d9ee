// Weighted sums of values over tokens, for 8 or 16 heads, by AMX.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_VALUES_AMX_CPU_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_VALUES_AMX_CPU_H_

#include <cstdint>

#include "csrc/kernels/attention/attention_fetch_cpu.h"
#include "csrc/kernels/attention/attention_plan_cpu.h"
#include "csrc/kernels/common/vec_amx.h"
#include "csrc/kernels/common/vec_format.h"

namespace stablekv {

// 16 elements of the head are the rows of a tile, the tokens of a block its width. Sums stay in
// tiles for all blocks, so that a block is visited once for every few of them.
template <VecFormat kFormat, int kBlock>
class AttentionValuesAmx {
 public:
  static constexpr int kRows = 16;
  static constexpr int kRowBytes = kBlock * 2;

  // sums[set, element, column] = sum over tokens of weight * value. Weights: for each set,
  // kPartitionSize / 2 pairs of tokens, both weights of 16 columns. The core's tiles are to have
  // the shapes (kRows, kRowBytes).
  static void Run(const uint8_t* const* blocks, int64_t count, int64_t head_size,
                  const uint32_t* weights, int sets, float* sums, AttentionFetch<amx::Vec>* fetch) {
    const auto run = sets == 1 ? &RunSets<1> : &RunSets<2>;
    run(blocks, count, head_size, weights, sums, fetch);
  }

 private:
  template <int kSets>
  static void RunSets(const uint8_t* const* blocks, int64_t count, int64_t head_size,
                      const uint32_t* weights, float* sums, AttentionFetch<amx::Vec>* fetch) {
    constexpr int64_t kMost = kRows * 4 / kSets;
    int64_t first = 0;
    for (; first + kMost <= head_size; first += kMost) {
      SumTiles<kSets, 4 / kSets>(blocks, first, count, weights, sums, fetch);
    }
    for (; first < head_size; first += kRows) {
      // Of the last one some rows may have been done before: they are done again.
      const int64_t last = head_size - kRows;
      SumTiles<kSets, 1>(blocks, first < last ? first : last, count, weights, sums, fetch);
    }
  }

  // Elements [first, first + kTiles * kRows).
  template <int kSets, int kTiles>
  static void SumTiles(const uint8_t* const* blocks, int64_t first, int64_t count,
                       const uint32_t* weights, float* sums, AttentionFetch<amx::Vec>* fetch) {
    constexpr int64_t kTileBytes = kRows * kRowBytes;
    AttentionFetch<amx::Vec> local_fetch = *fetch;  // in registers
    amx::ForTiles<kSets * kTiles>([](auto i) { amx::ClearTile<i>(); });
    for (int64_t i = 0; i < count; ++i) {
      alignas(64) uint8_t widened[kTiles * kTileBytes];
      const uint8_t* const rows = amx::Vec::AsBFloat16<kFormat>(
          blocks[i] + first * kBlock * BytesOf(kFormat), kTiles * kRows * kBlock, widened);
      amx::ForTiles<kSets>([&](auto set) {
        amx::LoadTile<6 + set>(weights + (set * kPartitionSize + i * kBlock) * 8, 64);
      });
      amx::ForTiles<kTiles>([&](auto tile) {
        amx::LoadTile<4 + tile % 2>(rows + tile * kTileBytes, kRowBytes);
        local_fetch.template Step<kRows * kBlock * BytesOf(kFormat)>();
        amx::AddProducts<kSets, kTiles, tile, 4 + tile % 2>();
      });
    }
    amx::ForTiles<kSets * kTiles>([&](auto i) {
      const int64_t row = i / kTiles * kMaxHeadSize + first + i % kTiles * kRows;
      amx::StoreTile<i>(sums + row * 16, 64);
    });
    *fetch = local_fetch;
  }
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_VALUES_AMX_CPU_H_
