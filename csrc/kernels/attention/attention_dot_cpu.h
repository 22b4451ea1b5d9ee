// Dot products of 8 rows with the vectors of several heads: the inner loop of both halves of
// attention (keys with queries over the head, values with weights over the tokens).
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_DOT_CPU_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_DOT_CPU_H_

#include <cstdint>

namespace stablekv {

inline constexpr int kRows = 8;  // rows of one call

template <class Vec>
struct AttentionDot {
  using Float = typename Vec::Float;

  // out[h * out_pitch + r] (+)= dot(rows[r], vectors[h]) for 8 rows and `heads` vectors of `length`
  // floats, a multiple of the lanes.
  template <bool kAccumulate>
  static void Run(const float* rows, int64_t row_pitch, const float* vectors, int64_t vector_pitch,
                  int64_t heads, int64_t length, float* out, int64_t out_pitch) {
    while (heads > 0) {
      // Tiles with 8 or 12 sums hide the latency of the additions and fit 16 registers.
      const int64_t tile = heads == 1 ? 1 : heads == 2 || heads == 4 ? 2 : 3;
      for (int64_t row = 0; row < kRows; row += tile == 1 ? 8 : 4) {
        const float* tile_rows = rows + row * row_pitch;
        if (tile == 1) {
          Tile<8, 1, kAccumulate>(tile_rows, row_pitch, vectors, vector_pitch, length, out + row,
                                  out_pitch);
        } else if (tile == 2) {
          Tile<4, 2, kAccumulate>(tile_rows, row_pitch, vectors, vector_pitch, length, out + row,
                                  out_pitch);
        } else {
          Tile<4, 3, kAccumulate>(tile_rows, row_pitch, vectors, vector_pitch, length, out + row,
                                  out_pitch);
        }
      }
      heads -= tile;
      vectors += tile * vector_pitch;
      out += tile * out_pitch;
    }
  }

 private:
  template <int kTileRows, int kHeads, bool kAccumulate>
  static void Tile(const float* rows, int64_t row_pitch, const float* vectors, int64_t vector_pitch,
                   int64_t length, float* out, int64_t out_pitch) {
    Float sums[kTileRows][kHeads] = {};
    for (int64_t i = 0; i < length; i += Vec::kLanes) {
      Float weights[kHeads];
#pragma GCC unroll 8
      for (int64_t h = 0; h < kHeads; ++h) weights[h] = Vec::Load(vectors + h * vector_pitch + i);
#pragma GCC unroll 8
      for (int64_t r = 0; r < kTileRows; ++r) {
        const Float row = Vec::Load(rows + r * row_pitch + i);
#pragma GCC unroll 8
        for (int64_t h = 0; h < kHeads; ++h) sums[r][h] = Vec::MulAdd(row, weights[h], sums[r][h]);
      }
    }
#pragma GCC unroll 8
    for (int64_t h = 0; h < kHeads; ++h) {
#pragma GCC unroll 8
      for (int64_t r = 0; r < kTileRows; r += 4) {
        float four[4];
        Vec::StoreSums(four, sums[r][h], sums[r + 1][h], sums[r + 2][h], sums[r + 3][h]);
        for (int i = 0; i < 4; ++i) {
          float* const to = out + h * out_pitch + r + i;
          *to = kAccumulate ? *to + four[i] : four[i];
        }
      }
    }
  }
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_DOT_CPU_H_
