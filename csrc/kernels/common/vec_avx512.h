// The vector unit of kernels for AVX-512 (F, BW, DQ, VL): 16 floats. See vec_portable.h.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_VEC_AVX512_H_
#define STABLEKV_CSRC_KERNELS_COMMON_VEC_AVX512_H_

// GCC 12 takes the intrinsics' own undefined values for mistakes of ours.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#else
#include <immintrin.h>
#endif

#include <cstdint>

#include "csrc/kernels/common/vec_avx2.h"
#include "csrc/kernels/common/vec_format.h"

namespace stablekv::avx512 {

struct Vec {
  static constexpr int kLanes = 16;
  typedef float Float __attribute__((vector_size(64)));
  typedef int32_t Int __attribute__((vector_size(64)));
  using Unit = avx2::Ymm<512>;

  static Float Load(const float* from) { return _mm512_loadu_ps(from); }
  static Float InRegister(Float value) {
    asm("" : "+v"(value));
    return value;
  }
  static void Store(float* to, Float value) { _mm512_storeu_ps(to, value); }
  static Float Set(float value) { return _mm512_set1_ps(value); }
  static Float MulAdd(Float a, Float b, Float c) { return _mm512_fmadd_ps(a, b, c); }

  static void StoreSums(float* to, Float a, Float b, Float c, Float d) {
    Unit::StoreSums(to, AddHalves(a), AddHalves(b), AddHalves(c), AddHalves(d));
  }

  static void StoreLowBytes(Int value, uint8_t* to) {
    _mm512_mask_cvtepi32_storeu_epi8(to, 0xFFFF, (__m512i)value);
  }

  template <VecFormat kFormat, int kPieces>
  static Float LoadAs(const uint8_t* from, int64_t stride) {
    if constexpr (kFormat == VecFormat::kFloat32) {
      static_assert(kPieces == 2 || kPieces == 4);
      const auto half = [stride](const uint8_t* at) {
        if constexpr (kPieces == 2) return Unit::Widen<kFormat>(at);
        return _mm256_loadu2_m128(reinterpret_cast<const float*>(at + stride),
                                  reinterpret_cast<const float*>(at));
      };
      return _mm512_insertf32x8(_mm512_castps256_ps512(half(from)),
                                half(from + kPieces / 2 * stride), 1);
    } else if constexpr (kFormat == VecFormat::kFloat16 || kFormat == VecFormat::kBFloat16) {
      static_assert(kPieces == 2);
      const __m256i codes = _mm256_loadu2_m128i(reinterpret_cast<const __m128i*>(from + stride),
                                                reinterpret_cast<const __m128i*>(from));
      if constexpr (kFormat == VecFormat::kFloat16) return _mm512_cvtph_ps(codes);
      return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(codes), 16));
    } else {
      static_assert(kPieces <= 2);
      __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
      if constexpr (kPieces == 2) {
        codes =
            _mm_unpacklo_epi64(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)),
                               _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from + stride)));
      }
      return Fp8<kFormat>(_mm256_cvtepu8_epi16(codes));
    }
  }

  template <VecFormat kFormat>
  static void Widen8(const uint8_t* from, float* to) {
    _mm256_storeu_ps(to, Unit::Widen<kFormat>(from));
  }
  template <VecFormat kFormat>
  static void Narrow8(const float* from, uint8_t* to) {
    Unit::Store<kFormat>(_mm256_loadu_ps(from), to);
  }

 private:
  // Fp8ToHalf of Ymm, on 16 codes.
  template <VecFormat kFormat>
  static Float Fp8(__m256i codes) {
    const __m256i high = _mm256_slli_epi16(codes, 8);
    if constexpr (kFormat == VecFormat::kFp8E5M2) return _mm512_cvtph_ps(high);
    const __m256i scaled = _mm256_and_si256(_mm256_srai_epi16(high, 1), _mm256_set1_epi16(-0x4001));
    const __m256i magnitude = _mm256_set1_epi16(0x7F);
    const __m256i nan = _mm256_cmpeq_epi16(_mm256_and_si256(codes, magnitude), magnitude);
    const __m256i halves =
        _mm256_or_si256(scaled, _mm256_and_si256(nan, _mm256_set1_epi16(0x7E00)));
    return _mm512_mul_ps(_mm512_cvtph_ps(halves), _mm512_set1_ps(256.0f));
  }

  static __m256 AddHalves(Float a) {
    return _mm256_add_ps(_mm512_maskz_extractf32x8_ps(0xFF, a, 0),
                         _mm512_maskz_extractf32x8_ps(0xFF, a, 1));
  }
};

}  // namespace stablekv::avx512

#endif  // STABLEKV_CSRC_KERNELS_COMMON_VEC_AVX512_H_
