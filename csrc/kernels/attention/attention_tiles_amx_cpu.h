// The loop body that both of AMX's products have in common: tiles are multiplied while the next
// ones' rows are made.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_TILES_AMX_CPU_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_TILES_AMX_CPU_H_

#include <cstdint>

#include "csrc/kernels/attention/attention_fetch_amx_cpu.h"
#include "csrc/kernels/common/vec_amx.h"
#include "csrc/kernels/common/vec_format.h"

namespace stablekv {

// Tokens that are worked on at a time, at most.
inline constexpr int64_t kAmxTokens = 512;

// Blocks of fp8 are short.
template <VecFormat kFormat>
using AmxFetch = AttentionFetchAmx<BytesOf(kFormat) == 1 ? 16 : 4>;

// A product of tiles takes as long for rows of 16 bytes as for rows of 64, so rows are joined to
// full length first, in memory that stays in the first-level cache. That also is where fp8 is
// widened, and a tile's load does not wait for a cache line that is still on its way.
//
// A unit is kTiles tiles of kRows rows, each row of kPieces pieces of the cache. Meanwhile kFetched
// bytes are fetched for each cache line of them.
template <VecFormat kFormat, int kPieces, int kRows, int kFetched>
class AttentionTilesAmx {
 public:
  static constexpr int kTiles = 4;
  static constexpr int64_t kTileBytes = kRows * 64;
  static constexpr int64_t kPairs = 16;  // of a row's elements

  using Lines = const uint8_t* [kPieces];

  // Zeros in place of pieces that are not there, for as many bytes as a unit has of one.
  alignas(64) static constexpr uint8_t kZeros[2048] = {};

  struct Rows {
    alignas(64) uint8_t bytes[kTiles * kTileBytes];
  };

  // Makes the rows of the first kUsed tiles of a unit: find(i, lines) says where tile i begins.
  template <int kUsed, typename Find>
  static void MakeRows(Find&& find, Rows* rows, AmxFetch<kFormat>* fetch) {
    amx::ForTiles<kUsed>([&](auto i) {
      Lines lines;
      find(static_cast<int64_t>(i), lines);
      Join(lines, rows->bytes + i * kTileBytes, fetch);
    });
  }

  // Tile i of the sums += tile i of `rows` * factors, for the first kUsed tiles and all kFactors
  // tiles of factors. Meanwhile makes the rows of the next unit.
  template <int kUsed, int kFactors, typename Find>
  static void Multiply(const Rows& rows, const uint32_t* factors, int64_t factors_pitch,
                       int64_t columns, Find&& find, Rows* next, AmxFetch<kFormat>* fetch) {
    amx::ForTiles<kFactors>(
        [&](auto i) { amx::LoadTile<6 + i>(factors + i * factors_pitch, columns * 4); });
    amx::ForTiles<kUsed>([&](auto i) {
      amx::LoadTile<4 + i % 2>(rows.bytes + i * kTileBytes, 64);
      amx::ForTiles<kFactors>([&](auto j) { amx::AddProduct<i, 4 + i % 2, 6 + j>(); });
      Lines lines;
      find(static_cast<int64_t>(i), lines);
      Join(lines, next->bytes + i * kTileBytes, fetch);
    });
  }

 private:
  static void Join(const Lines& lines, uint8_t* to, AmxFetch<kFormat>* fetch) {
    constexpr int kJoined = amx::Vec::kJoinedRows<kFormat, kPieces>;
#pragma GCC unroll 16
    for (int64_t i = 0; i < kRows / kJoined; ++i) {
      amx::Vec::JoinRows<kFormat, kPieces>(lines, i * 64, to + i * kJoined * 64);
      fetch->template Step<kPieces * kFetched>();
    }
  }
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_TILES_AMX_CPU_H_
