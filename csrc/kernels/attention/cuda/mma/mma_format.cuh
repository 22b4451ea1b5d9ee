// How the numbers of a cache become operands of the tensor core.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_MMA_FORMAT_CUH_
#define STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_MMA_FORMAT_CUH_

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

#include "csrc/kernels/common/cuda/number_format.cuh"

namespace stablekv {

// Neighbouring elements and tokens are neighbours in an operand.
struct TwoByteMmaFormat {
  static __device__ __forceinline__ constexpr int TokenOfRow(int row) { return row; }
  static __device__ __forceinline__ constexpr int ElementOfK(int t, int i) {
    return i < 2 ? 2 * t + i : 2 * t + 6 + i;
  }
};

// A format of caches has
//   Operand              what the tensor core multiplies: float16 or bfloat16
//   kWeightExponent      weights are scaled by this power of two, to stay clear of subnormals
//   TokenOfRow(r)        which of 16 tokens row r of an operand of 16 tokens is
//   ElementOfK(t, i)     which of the 16 elements of a step of 16 lane t of a quad has as its i-th
//   WidenLow, WidenHigh  fp8 only: the two numbers of half a word, as float16
// TokenOfRow and ElementOfK are free to choose as long as both factors of a product agree. For fp8
// they follow from how four neighbouring bytes, one word of a lane, become two words of float16.
template <typename Format>
struct MmaFormat;

template <>
struct MmaFormat<Float16Format> : TwoByteMmaFormat {
  using Operand = __half;
  static constexpr int kWeightExponent = 14;
};

template <>
struct MmaFormat<BFloat16Format> : TwoByteMmaFormat {
  using Operand = __nv_bfloat16;
  static constexpr int kWeightExponent = 0;
};

template <int kExponentBits>
struct MmaFormat<Fp8Format<kExponentBits>> {
  using Operand = __half;
  static constexpr int kWeightExponent = 14;

  static __device__ __forceinline__ constexpr int TokenOfRow(int row) {
    return row % 8 / 2 * 4 + row / 8 * 2 + row % 2;
  }
  static __device__ __forceinline__ constexpr int ElementOfK(int t, int i) { return 4 * t + i; }

  // The two fp8 of the lower or the upper half of a word, exactly; NaN stays NaN.
  static __device__ __forceinline__ uint32_t WidenLow(uint32_t word) {
    if constexpr (kExponentBits == 5) return __byte_perm(word, 0, 0x1404);
    return WidenE4M3<0>(word);
  }
  static __device__ __forceinline__ uint32_t WidenHigh(uint32_t word) {
    if constexpr (kExponentBits == 5) return __byte_perm(word, 0, 0x3424);
    return WidenE4M3<1>(word);
  }

 private:
  template <int kHalf>
  static __device__ __forceinline__ uint32_t WidenE4M3(uint32_t word) {
    uint32_t halves;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
    if constexpr (kHalf == 0) {
      asm("{\n.reg .b16 low, high;\nmov.b32 {low, high}, %1;\ncvt.rn.f16x2.e4m3x2 %0, low;\n}"
          : "=r"(halves)
          : "r"(word));
    } else {
      asm("{\n.reg .b16 low, high;\nmov.b32 {low, high}, %1;\ncvt.rn.f16x2.e4m3x2 %0, high;\n}"
          : "=r"(halves)
          : "r"(word));
    }
#else
    // e4m3 in the place of a float16's bits is the value divided by 2^8, subnormals too.
    const uint32_t spread = __byte_perm(word, 0, kHalf == 0 ? 0x1404 : 0x3424);
    const uint32_t shifted = (spread & 0x80008000u) | ((spread & 0x7f007f00u) >> 1);
    const __half2 value =
        __hmul2(*reinterpret_cast<const __half2*>(&shifted), __floats2half2_rn(256.0f, 256.0f));
    halves = *reinterpret_cast<const uint32_t*>(&value);
    if ((spread & 0x7f00u) == 0x7f00u) halves |= 0x7e00u;
    if ((spread & 0x7f000000u) == 0x7f000000u) halves |= 0x7e000000u;
#endif
    return halves;
  }
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_MMA_FORMAT_CUH_
