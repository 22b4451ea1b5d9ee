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
  // `count` elements, a multiple of 64, as bfloat16 in order: where they are, or widened at `to`.
  template <VecFormat kFormat>
  static const uint8_t* AsBFloat16(const uint8_t* from, int64_t count, uint8_t* to) {
    static_assert(kFormat == VecFormat::kBFloat16 || BytesOf(kFormat) == 1);
    if constexpr (kFormat == VecFormat::kBFloat16) {
      return from;
    } else {
      for (int64_t i = 0; i < count; i += 64) WidenCodes<kFormat>(from + i, to + 2 * i);
      return to;
    }
  }

 private:
  // Widens 64 fp8 codes. Every one is exact.
  template <VecFormat kFormat>
  static void WidenCodes(const uint8_t* from, uint8_t* to) {
    // What unpacking brings to one vector: the lower halves of 16-byte lanes.
    const __m512i order = _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7);
    const __m512i codes = _mm512_permutexvar_epi64(order, _mm512_loadu_si512(from));
    __m512i low, high;
    avx512_vbmi::Fp8Lookup<514>::Bytes<kFormat>(codes, &low, &high);
    _mm512_storeu_si512(to, _mm512_unpacklo_epi8(low, high));
    _mm512_storeu_si512(to + 64, _mm512_unpackhi_epi8(low, high));
  }
};

// The shapes of a core's eight tiles, from its construction to its end. Tiles 4 and 5 hold rows of
// bfloat16, tiles 6 and 7 what they are multiplied with: row j has elements 2 j and 2 j + 1 of 16
// columns, next to each other. Tiles 0 to 3 hold sums: [rows, 16 columns] of float32.
class TileShapes {
 public:
  TileShapes(int rows, int row_bytes) {
    struct alignas(64) {
      uint8_t palette = 1;
      uint8_t start_row = 0;
      uint8_t reserved[14] = {};
      uint16_t row_bytes[16] = {};
      uint8_t rows[16] = {};
    } shapes;
    for (int i = 0; i < 8; ++i) {
      shapes.rows[i] = static_cast<uint8_t>(i < 6 ? rows : row_bytes / 4);
      shapes.row_bytes[i] = static_cast<uint16_t>(i == 4 || i == 5 ? row_bytes : 64);
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

// The rows of tile kRows times all factors there are, those of kSets tiles: to the sums of the
// first set in tile kSums, of the second in tile kSums + kPitch.
template <int kSets, int kPitch, int kSums, int kRows>
void AddProducts() {
  AddProduct<kSums, kRows, 6>();
  if constexpr (kSets == 2) AddProduct<kSums + kPitch, kRows, 7>();
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
