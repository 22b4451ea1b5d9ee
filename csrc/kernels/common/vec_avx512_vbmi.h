// The vector unit of kernels for AVX-512 with VBMI, which looks bytes up in tables of 128. See
// vec_portable.h.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_VEC_AVX512_VBMI_H_
#define STABLEKV_CSRC_KERNELS_COMMON_VEC_AVX512_VBMI_H_

#include <cstdint>
#include <type_traits>

#include "csrc/kernels/common/fp8.h"
#include "csrc/kernels/common/vec_avx512.h"
#include "csrc/kernels/common/vec_format.h"

namespace stablekv::avx512_vbmi {

// The bytes of the bfloat16 numbers that an fp8 format's codes without their sign stand for. Every
// one is exact.
struct Fp8Table {
  alignas(64) uint8_t high[128];
  alignas(64) uint8_t low[128];
};
template <VecFormat kFormat>
constexpr Fp8Table MakeFp8Table() {
  Fp8Table table{};
  for (int code = 0; code < 128; ++code) {
    const uint32_t bits = kFormat == VecFormat::kFp8E4M3
                              ? Fp8E4M3ToFloatBits(static_cast<uint8_t>(code))
                              : Fp8E5M2ToFloatBits(static_cast<uint8_t>(code));
    table.high[code] = static_cast<uint8_t>(bits >> 24);
    table.low[code] = static_cast<uint8_t>(bits >> 16);
  }
  return table;
}
template <VecFormat kFormat>
inline constexpr Fp8Table kFp8Table = MakeFp8Table<kFormat>();

// Looks both bytes of 64 codes' bfloat16 up. `kUnit` as Zmm's.
template <int kUnit>
struct Fp8Lookup {
  template <VecFormat kFormat>
  static void Bytes(__m512i codes, __m512i* low, __m512i* high) {
    constexpr const Fp8Table& kTable = kFp8Table<kFormat>;
    *low = _mm512_permutex2var_epi8(_mm512_load_si512(kTable.low), codes,
                                    _mm512_load_si512(kTable.low + 64));
    const __m512i magnitude = _mm512_permutex2var_epi8(_mm512_load_si512(kTable.high), codes,
                                                       _mm512_load_si512(kTable.high + 64));
    // magnitude | (codes & 0x80)
    *high = _mm512_ternarylogic_epi32(magnitude, codes, _mm512_set1_epi8(-0x80), 0xF8);
  }
};

struct Vec : avx512::Zmm<513> {
  // VBMI is for bytes, and so are all loads here.
  template <VecFormat kFormat>
  using UnitFor = std::conditional_t<BytesOf(kFormat) == 1, Vec, avx512::Vec>;

  template <VecFormat kFormat>
  static constexpr int kParts = 4;
  template <VecFormat kFormat>
  static constexpr float kFactor = 1;

  template <VecFormat kFormat>
  static void LoadParts(const uint8_t* from, Float* parts) {
    const Words words = Widen<kFormat>(from);
    const __m512i upper = _mm512_set1_epi32(-0x10000);
    parts[0] = InRegister(_mm512_castsi512_ps(_mm512_slli_epi32(words.first, 16)));
    parts[1] = InRegister(_mm512_castsi512_ps(_mm512_and_si512(words.first, upper)));
    parts[2] = InRegister(_mm512_castsi512_ps(_mm512_slli_epi32(words.second, 16)));
    parts[3] = InRegister(_mm512_castsi512_ps(_mm512_and_si512(words.second, upper)));
  }

  template <VecFormat kFormat>
  static constexpr bool kHasPairs = true;
  template <VecFormat kFormat>
  static void LoadPairs(const uint8_t* from, Float* pairs) {
    const Words words = Widen<kFormat>(from);
    pairs[0] = InRegister(_mm512_castsi512_ps(words.first));
    pairs[1] = InRegister(_mm512_castsi512_ps(words.second));
  }

 private:
  // The bfloat16 of 64 codes: lane j has codes 4 j and 4 j + 1, and their two successors.
  struct Words {
    __m512i first;
    __m512i second;
  };
  template <VecFormat kFormat>
  static Words Widen(const uint8_t* from) {
    static_assert(BytesOf(kFormat) == 1);
    const __m512i codes = _mm512_shuffle_epi8(_mm512_loadu_si512(from), Order());
    __m512i low, high;
    Fp8Lookup<513>::Bytes<kFormat>(codes, &low, &high);
    return {_mm512_unpacklo_epi8(low, high), _mm512_unpackhi_epi8(low, high)};
  }

  // Of 16 codes, those that unpacking brings to lane j of the parts: 4 j and its three successors.
  static __m512i Order() {
    return _mm512_broadcast_i32x4(
        _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15));
  }
};

}  // namespace stablekv::avx512_vbmi

#endif  // STABLEKV_CSRC_KERNELS_COMMON_VEC_AVX512_VBMI_H_
