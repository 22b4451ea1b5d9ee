// Division by a scale that many numbers share, for numbers that become fp8.
#ifndef STABLEKV_CSRC_KERNELS_CACHE_CUDA_FAST_QUOTIENT_CUH_
#define STABLEKV_CSRC_KERNELS_CACHE_CUDA_FAST_QUOTIENT_CUH_

#include <cmath>
#include <cstdint>
#include <type_traits>

#include "csrc/kernels/common/cuda/number_format.cuh"
#include "csrc/kernels/common/float_bits.h"

namespace stablekv {

// Not inlined: it is for odd scales alone, and long.
static __device__ __noinline__ float PlainQuotient(float x, float scale) { return x / scale; }

// The fp8 nearest to two numbers, `low` in the lower byte, as Encode() of each.
template <typename Format>
__device__ __forceinline__ uint32_t EncodePair(float low, float high) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
  uint16_t pair;
  if constexpr (std::is_same_v<Format, Fp8E4M3Format>) {
    asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(high), "f"(low));
  } else {
    asm("cvt.rn.satfinite.e5m2x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(high), "f"(low));
  }
  return pair;
#else
  return Format::Encode(low) | static_cast<uint32_t>(Format::Encode(high)) << 8;
#endif
}

// numbers[i] * factor as fp8, the first in the lowest byte.
template <typename Format, int kCount>
__device__ __forceinline__ void EncodeProducts(const float (&numbers)[kCount], float factor,
                                               uint32_t (&words)[kCount / 4]) {
#pragma unroll
  for (int i = 0; i < kCount; i += 4) {
    words[i / 4] = EncodePair<Format>(numbers[i] * factor, numbers[i + 1] * factor) |
                   EncodePair<Format>(numbers[i + 2] * factor, numbers[i + 3] * factor) << 16;
  }
}

// x / scale, rounded to nearest, as fp8. A division costs many instructions, so:
// * Powers of two, 1 above all, have an exact reciprocal.
// * Else the reciprocal and two corrections by FMA give the quotient (Markstein: the second is
//   exact, as the first is within one unit of the last place). Quotients too small for that are
//   far below the smallest fp8, those too large saturate anyway.
class FastQuotient {
 public:
  __device__ __forceinline__ explicit FastQuotient(float scale)
      : scale_(scale),
        reciprocal_(1.0f / scale),
        // Where no step leaves the range of float32.
        in_range_(fabsf(scale) > 0x1p-40f && fabsf(scale) < 0x1p40f),
        reciprocal_is_exact_(in_range_ && (FloatToBits(scale) & 0x7fffff) == 0) {}

  // The first number goes into the lowest byte.
  template <typename Format, int kCount>
  __device__ __forceinline__ void Encode(float (&numbers)[kCount],
                                         uint32_t (&words)[kCount / 4]) const {
    if (reciprocal_is_exact_) return EncodeProducts<Format>(numbers, reciprocal_, words);
    if (in_range_) {
#pragma unroll
      for (int i = 0; i < kCount; ++i) numbers[i] = Corrected(numbers[i]);
    } else {
#pragma unroll
      for (int i = 0; i < kCount; ++i) numbers[i] = PlainQuotient(numbers[i], scale_);
    }
    EncodeProducts<Format>(numbers, 1.0f, words);
  }

 private:
  __device__ __forceinline__ float Corrected(float x) const {
    const float rough = x * reciprocal_;
    const float near = fmaf(fmaf(-rough, scale_, x), reciprocal_, rough);
    const float exact = fmaf(fmaf(-near, scale_, x), reciprocal_, near);
    // The sign of a zero got lost on the way.
    return fabsf(rough) < 0x1p20f ? copysignf(exact, rough) : rough;
  }

  float scale_;
  float reciprocal_;
  bool in_range_;
  bool reciprocal_is_exact_;
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_CACHE_CUDA_FAST_QUOTIENT_CUH_
