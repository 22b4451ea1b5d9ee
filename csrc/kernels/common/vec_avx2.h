// The vector unit of kernels for AVX2 with FMA and F16C: 8 floats. See vec_portable.h.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_VEC_AVX2_H_
#define STABLEKV_CSRC_KERNELS_COMMON_VEC_AVX2_H_

#include <immintrin.h>

#include <cstdint>

#include "csrc/kernels/common/vec_format.h"

namespace stablekv::avx2 {

// Operations on 256 bits. `kUnit` keeps the machine code of the units that use them apart.
template <int kUnit>
struct Ymm {
  // float16 bits of eight fp8 codes that stand in the high bytes of 16-bit lanes. e4m3 comes out
  // 2^-8 too small, as its exponent bias is 7 and float16's is 15.
  template <VecFormat kFormat>
  static __m128i Fp8ToHalf(__m128i codes) {
    if constexpr (kFormat == VecFormat::kFp8E5M2) {
      return _mm_and_si128(codes, _mm_set1_epi16(-0x100));
    }
    // Sign, a 0 in place of the exponent's highest bit, the code's other bits.
    const __m128i scaled = _mm_and_si128(_mm_srai_epi16(codes, 1), _mm_set1_epi16(-0x4080));
    const __m128i magnitude = _mm_set1_epi16(0x3F80);
    const __m128i nan = _mm_cmpeq_epi16(_mm_and_si128(scaled, magnitude), magnitude);
    return _mm_or_si128(scaled, _mm_and_si128(nan, _mm_set1_epi16(0x7E00)));
  }

  template <VecFormat kFormat>
  static __m256 Widen(const uint8_t* from) {
    const auto* bytes = reinterpret_cast<const __m128i*>(from);
    if constexpr (kFormat == VecFormat::kFloat32) {
      return _mm256_loadu_ps(reinterpret_cast<const float*>(from));
    } else if constexpr (kFormat == VecFormat::kFloat16) {
      return _mm256_cvtph_ps(_mm_loadu_si128(bytes));
    } else {
      static_assert(kFormat == VecFormat::kBFloat16);
      return _mm256_castsi256_ps(
          _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(bytes)), 16));
    }
  }

  template <VecFormat kFormat>
  static void Store(__m256 value, uint8_t* to) {
    if constexpr (kFormat == VecFormat::kFloat32) {
      _mm256_storeu_ps(reinterpret_cast<float*>(to), value);
    } else if constexpr (kFormat == VecFormat::kFloat16) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to),
                       _mm256_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    } else {
      const __m256i bits = _mm256_castps_si256(value);
      const __m256i upper = _mm256_srli_epi32(bits, 16);
      const __m256i odd = _mm256_and_si256(upper, _mm256_set1_epi32(1));
      const __m256i rounded = _mm256_srli_epi32(
          _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF))), 16);
      const __m256i quiet = _mm256_or_si256(upper, _mm256_set1_epi32(0x40));
      const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(value, value, _CMP_UNORD_Q));
      const __m256i codes = _mm256_blendv_epi8(rounded, quiet, nan);
      _mm_storeu_si128(
          reinterpret_cast<__m128i*>(to),
          _mm_packus_epi32(_mm256_castsi256_si128(codes), _mm256_extracti128_si256(codes, 1)));
    }
  }

  // to[i] = the sum of the lanes of value i.
  static void StoreSums(float* to, __m256 a, __m256 b, __m256 c, __m256 d) {
    const __m256 sums = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
    _mm_storeu_ps(to, _mm_add_ps(_mm256_castps256_ps128(sums), _mm256_extractf128_ps(sums, 1)));
  }
};

struct Vec {
  static constexpr int kLanes = 8;
  typedef float Float __attribute__((vector_size(32)));
  typedef int32_t Int __attribute__((vector_size(32)));
  using Unit = Ymm<2>;
  template <VecFormat kFormat>
  using UnitFor = Vec;

  static Float Load(const float* from) { return _mm256_loadu_ps(from); }
  static Float InRegister(Float value) {
    asm("" : "+x"(value));
    return value;
  }
  static void Store(float* to, Float value) { _mm256_storeu_ps(to, value); }
  static Float Set(float value) { return _mm256_set1_ps(value); }
  static Float MulAdd(Float a, Float b, Float c) { return _mm256_fmadd_ps(a, b, c); }

  static void StoreSums(float* to, Float a, Float b, Float c, Float d) {
    Unit::StoreSums(to, a, b, c, d);
  }

  static void StoreLowBytes(Int value, uint8_t* to) {
    const __m256i codes = (__m256i)value;
    const __m128i words =
        _mm_packus_epi32(_mm256_castsi256_si128(codes), _mm256_extracti128_si256(codes, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(to), _mm_packus_epi16(words, words));
  }

  template <int kSums>
  static Float PairSums(Float x, Float y) {
    const __m256d sums = _mm256_castps_pd(_mm256_hadd_ps(x, y));  // x, y, x, y
    return _mm256_castpd_ps(_mm256_permute4x64_pd(sums, 0b11011000));
  }

  template <int kPeriod>
  static Float InOrder(Float sums) {
    return sums;
  }

  template <int kPeriod>
  static Float LoadRepeated(const float* from) {
    static_assert(kPeriod == 2 || kPeriod == 4 || kPeriod == 8);
    if constexpr (kPeriod == 8) return Load(from);
    if constexpr (kPeriod == 4) return _mm256_broadcast_ps(reinterpret_cast<const __m128*>(from));
    double pair;
    __builtin_memcpy(&pair, from, sizeof(pair));
    return _mm256_castpd_ps(_mm256_set1_pd(pair));
  }

  static constexpr int kTileSums = 8;
  template <VecFormat kFormat>
  static constexpr bool kHasPairs = false;  // see vec_avx512.h
  template <VecFormat kFormat>
  static constexpr int kTileHeads = 4;
  template <VecFormat kFormat>
  static constexpr int kParts =
      kFormat == VecFormat::kFloat32 || kFormat == VecFormat::kFloat16 ? 1 : 2;
  template <VecFormat kFormat>
  static constexpr float kFactor = kFormat == VecFormat::kFp8E4M3 ? 256 : 1;

  template <VecFormat kFormat>
  static void LoadParts(const uint8_t* from, Float* parts) {
    if constexpr (kParts<kFormat> == 1) {
      parts[0] = InRegister(Unit::Widen<kFormat>(from));
    } else if constexpr (kFormat == VecFormat::kBFloat16) {
      const __m256i pairs = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
      parts[0] = InRegister(_mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16)));
      parts[1] =
          InRegister(_mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32(-0x10000))));
    } else {
      const __m128i pairs = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
      parts[0] = _mm256_cvtph_ps(Unit::Fp8ToHalf<kFormat>(_mm_slli_epi16(pairs, 8)));
      parts[1] = _mm256_cvtph_ps(Unit::Fp8ToHalf<kFormat>(pairs));
    }
  }

  template <VecFormat kFormat>
  static void Widen8(const uint8_t* from, float* to) {
    Store(to, Unit::Widen<kFormat>(from));
  }
  template <VecFormat kFormat>
  static void Narrow8(const float* from, uint8_t* to) {
    Unit::Store<kFormat>(Load(from), to);
  }
};

}  // namespace stablekv::avx2

#endif  // STABLEKV_CSRC_KERNELS_COMMON_VEC_AVX2_H_
