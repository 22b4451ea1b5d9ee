// The vector unit of kernels for AMX, Intel's tiles, beside AVX-512 with VBMI and BF16. A product
// of tiles multiplies pairs of bfloat16 and adds up in float32; it takes subnormal numbers for 0.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_VEC_AMX_H_
#define STABLEKV_CSRC_KERNELS_COMMON_VEC_AMX_H_

#include <cstdint>
#include <type_traits>

#include "csrc/kernels/common/vec_avx512.h"
#include "csrc/kernels/common/vec_avx512_vbmi.h"
#include "csrc/kernels/common/vec_format.h"

namespace stablekv::amx {

struct Vec : avx512::Zmm<514> {
  template <VecFormat kFormat>
  using UnitFor = Vec;

  // How many rows JoinRows makes.
  template <VecFormat kFormat, int kPieces>
  static constexpr int kJoinedRows = kPieces * 2 / BytesOf(kFormat);

  // Makes rows of 32 bfloat16 of kPieces cache lines, which hold as many pieces of as many rows:
  // row r is the r-th piece of each line, one after the other. fp8 is widened.
  template <VecFormat kFormat, int kPieces>
  static void JoinRows(const uint8_t* const (&lines)[kPieces], int64_t offset, uint8_t* to) {
    static_assert(kFormat == VecFormat::kBFloat16 || BytesOf(kFormat) == 1);
    static_assert(kPieces == 1 || kPieces == 2 || kPieces == 4);
    __m512i joined[kPieces];
    for (int i = 0; i < kPieces; ++i) joined[i] = _mm512_loadu_si512(lines[i] + offset);
    if constexpr (kPieces == 4) {
      JoinQuarters(&joined);
    } else if constexpr (BytesOf(kFormat) == 1) {
      JoinEighths(&joined);
    } else if constexpr (kPieces == 2) {
      JoinHalves(&joined);
    }
    for (int i = 0; i < kPieces; ++i) {
      if constexpr (BytesOf(kFormat) == 1) {
        WidenCodes<kFormat>(joined[i], to + i * 128);
      } else {
        _mm512_store_si512(to + i * 64, joined[i]);
      }
    }
  }

  // Lane j of [i] becomes lane i of [j].
  static void Transpose(__m512i (*rows)[16]) {
    __m512i(&x)[16] = *rows;
    __m512i pairs[16], quads[16];
    for (int i = 0; i < 16; i += 2) {
      pairs[i] = _mm512_unpacklo_epi32(x[i], x[i + 1]);
      pairs[i + 1] = _mm512_unpackhi_epi32(x[i], x[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
      for (int j = 0; j < 2; ++j) {
        quads[i + 2 * j] = _mm512_unpacklo_epi64(pairs[i + j], pairs[i + 2 + j]);
        quads[i + 2 * j + 1] = _mm512_unpackhi_epi64(pairs[i + j], pairs[i + 2 + j]);
      }
    }
    for (int i = 0; i < 4; ++i) {
      __m512i quarters[4] = {quads[i], quads[i + 4], quads[i + 8], quads[i + 12]};
      JoinQuarters(&quarters);
      for (int j = 0; j < 4; ++j) x[i + 4 * j] = quarters[j];
    }
  }

 private:
  // [i] becomes quarter i of each: quarters are transposed.
  static void JoinQuarters(__m512i (*lines)[4]) {
    __m512i(&x)[4] = *lines;
    const __m512i first = _mm512_shuffle_i32x4(x[0], x[1], 0x44);
    const __m512i second = _mm512_shuffle_i32x4(x[2], x[3], 0x44);
    const __m512i third = _mm512_shuffle_i32x4(x[0], x[1], 0xEE);
    const __m512i fourth = _mm512_shuffle_i32x4(x[2], x[3], 0xEE);
    x[0] = _mm512_shuffle_i32x4(first, second, 0x88);
    x[1] = _mm512_shuffle_i32x4(first, second, 0xDD);
    x[2] = _mm512_shuffle_i32x4(third, fourth, 0x88);
    x[3] = _mm512_shuffle_i32x4(third, fourth, 0xDD);
  }

  // [i] becomes half i of each.
  static void JoinHalves(__m512i (*lines)[2]) {
    __m512i(&x)[2] = *lines;
    const __m512i first = _mm512_shuffle_i64x2(x[0], x[1], 0x44);
    x[1] = _mm512_shuffle_i64x2(x[0], x[1], 0xEE);
    x[0] = first;
  }

  // The rows' parts of 8 codes, those of two rows by turns, as WidenCodes takes them.
  static void JoinEighths(__m512i (*lines)[1]) {
    const __m512i order = _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7);
    (*lines)[0] = _mm512_permutexvar_epi64(order, (*lines)[0]);
  }
  static void JoinEighths(__m512i (*lines)[2]) {
    __m512i(&x)[2] = *lines;
    const __m512i first = _mm512_setr_epi64(0, 2, 1, 3, 8, 10, 9, 11);
    const __m512i second = _mm512_setr_epi64(4, 6, 5, 7, 12, 14, 13, 15);
    const __m512i joined = _mm512_permutex2var_epi64(x[0], first, x[1]);
    x[1] = _mm512_permutex2var_epi64(x[0], second, x[1]);
    x[0] = joined;
  }

  // Widens 64 fp8 codes: first the lower halves of 16-byte lanes, then the upper ones. Every one is
  // exact.
  template <VecFormat kFormat>
  static void WidenCodes(__m512i codes, uint8_t* to) {
    __m512i low, high;
    avx512_vbmi::Fp8Lookup<514>::Bytes<kFormat>(codes, &low, &high);
    _mm512_store_si512(to, _mm512_unpacklo_epi8(low, high));
    _mm512_store_si512(to + 64, _mm512_unpackhi_epi8(low, high));
  }
};

// The shapes of a core's eight tiles, from its construction to its end. Tiles 4 and 5 hold rows of
// 32 bfloat16, tiles 6 and 7 what they are multiplied with: row j has elements 2 j and 2 j + 1 of
// all columns, next to each other. Tiles 0 to 3 hold sums: [rows, columns] of float32.
class TileShapes {
 public:
  TileShapes(int rows, int columns) {
    struct alignas(64) {
      uint8_t palette = 1;
      uint8_t start_row = 0;
      uint8_t reserved[14] = {};
      uint16_t row_bytes[16] = {};
      uint8_t rows[16] = {};
    } shapes;
    for (int i = 0; i < 8; ++i) {
      shapes.rows[i] = static_cast<uint8_t>(i < 6 ? rows : 16);
      shapes.row_bytes[i] = static_cast<uint16_t>(i == 4 || i == 5 ? 64 : 4 * columns);
    }
    asm volatile("ldtilecfg %0" : : "m"(shapes));
  }
  TileShapes(const TileShapes&) = delete;
  TileShapes& operator=(const TileShapes&) = delete;
  ~TileShapes() { asm volatile("tilerelease"); }
};

// Not the compiler's intrinsics: GCC's do not tell it that they read memory, so that it leaves out
// what was to be written there before, and their tiles' numbers cannot be template arguments.
template <int kTile>
void LoadTile(const void* from, int64_t row_stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2"
               :
               : "r"(from), "r"(row_stride), "i"(kTile)
               : "memory");
}

template <int kTile>
void StoreTile(void* to, int64_t row_stride) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)"
               :
               : "r"(to), "r"(row_stride), "i"(kTile)
               : "memory");
}

template <int kTile>
void ClearTile() {
  asm volatile("tilezero %%tmm%c0" : : "i"(kTile));
}

// sums[row, column] += dot(rows[row], factors[column]).
template <int kSums, int kRows, int kFactors>
void AddProduct() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kSums), "i"(kRows), "i"(kFactors));
}

// Calls function(std::integral_constant<int, i>) for i of [0, kCount): a loop whose index may name
// a tile.
template <int kCount, typename Function>
void ForTiles(Function&& function) {
  if constexpr (kCount > 1) ForTiles<kCount - 1>(function);
  function(std::integral_constant<int, kCount - 1>());
}

}  // namespace stablekv::amx

#endif  // STABLEKV_CSRC_KERNELS_COMMON_VEC_AMX_H_
