// The vector unit of kernels for AVX-512 (F, BW, DQ, VL): 16 floats. See vec_portable.h.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_VEC_AVX512_H_
#define STABLEKV_CSRC_KERNELS_COMMON_VEC_AVX512_H_

#include <immintrin.h>

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
  static void Store(float* to, Float value) { _mm512_storeu_ps(to, value); }
  static Float Set(float value) { return _mm512_set1_ps(value); }
  static Float MulAdd(Float a, Float b, Float c) { return _mm512_fmadd_ps(a, b, c); }

  static void StoreSums(float* to, Float a, Float b, Float c, Float d) {
    Unit::StoreSums(to, AddHalves(a), AddHalves(b), AddHalves(c), AddHalves(d));
  }

  static void StoreLowBytes(Int value, uint8_t* to) {
    _mm512_mask_cvtepi32_storeu_epi8(to, 0xFFFF, (__m512i)value);
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
  static __m256 AddHalves(Float a) {
    return _mm256_add_ps(_mm512_maskz_extractf32x8_ps(0xFF, a, 0),
                         _mm512_maskz_extractf32x8_ps(0xFF, a, 1));
  }
};

}  // namespace stablekv::avx512

#endif  // STABLEKV_CSRC_KERNELS_COMMON_VEC_AVX512_H_
