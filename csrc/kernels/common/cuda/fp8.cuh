// Conversions between float32 and 8-bit floats on the device, the same bytes as on the CPU.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_CUDA_FP8_CUH_
#define STABLEKV_CSRC_KERNELS_COMMON_CUDA_FP8_CUH_

#include <cuda_fp16.h>

#include <cstdint>

#include "csrc/kernels/common/fp8.h"

namespace stablekv {

// As FloatToFp8E4M3 and FloatToFp8E5M2, by the instruction where the chip has it.
template <int kExponentBits>
__device__ __forceinline__ uint8_t EncodeFp8(float x) {
  static_assert(kExponentBits == 4 || kExponentBits == 5);
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
  uint16_t pair;
  if constexpr (kExponentBits == 4) {
    asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(0.0f), "f"(x));
  } else {
    asm("cvt.rn.satfinite.e5m2x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(0.0f), "f"(x));
  }
  return x != x ? uint8_t{0x7f} : static_cast<uint8_t>(pair);
#else
  return kExponentBits == 4 ? FloatToFp8E4M3(x) : FloatToFp8E5M2(x);
#endif
}

// The two fp8 of the low 16 bits of `pair`, low byte first. Exact: every fp8 is a float16.
template <int kExponentBits>
__device__ __forceinline__ float2 DecodeFp8Pair(uint32_t pair) {
  if constexpr (kExponentBits == 5) {
    // e5m2 is the upper byte of a float16.
    const uint32_t halves = __byte_perm(pair, 0, 0x1404);
    return __half22float2(*reinterpret_cast<const __half2*>(&halves));
  } else {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
    uint32_t halves;
    asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(halves) : "h"(static_cast<uint16_t>(pair)));
    return __half22float2(*reinterpret_cast<const __half2*>(&halves));
#else
    // e4m3 in the place of a float16's bits is the value divided by 2^8, subnormals too.
    const uint32_t spread = __byte_perm(pair, 0, 0x1404);
    const uint32_t halves = (spread & 0x80008000u) | ((spread & 0x7f007f00u) >> 1);
    float2 value = __half22float2(*reinterpret_cast<const __half2*>(&halves));
    value.x = (pair & 0x7fu) == 0x7fu ? __uint_as_float(0x7fffffffu) : value.x * 256.0f;
    value.y = (pair & 0x7f00u) == 0x7f00u ? __uint_as_float(0x7fffffffu) : value.y * 256.0f;
    return value;
#endif
  }
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_COMMON_CUDA_FP8_CUH_
