// Conversions between float32 and 8-bit floats on the device, the same bytes as on the CPU.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_CUDA_FP8_CUH_
#define STABLEKV_CSRC_KERNELS_COMMON_CUDA_FP8_CUH_

#include <cuda_fp16.h>

#include <cstdint>

namespace stablekv {

// An 8-bit float of one sign bit, kExponentBits and the rest mantissa.
template <int kExponentBits>
struct Fp8Layout {
  static_assert(kExponentBits == 4 || kExponentBits == 5);
  static constexpr int kMantissaBits = 7 - kExponentBits;
  static constexpr int kMinExponent = 2 - (1 << (kExponentBits - 1));  // of the smallest normal
  static constexpr uint32_t kMaxFinite = kExponentBits == 4 ? 0x7e : 0x7b;
  static constexpr uint32_t kNaN = 0x7f;
};

// Bits of an fp8 nearest to the float32 of bits `x`, ties to even, in integer arithmetic: for
// chips without the instruction. What is too large, Inf too, becomes the largest finite value.
template <int kExponentBits>
__host__ __device__ inline uint8_t EncodeFp8Bits(uint32_t x) {
  using Layout = Fp8Layout<kExponentBits>;
  const uint32_t magnitude = x & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return Layout::kNaN;
  const uint32_t sign = (x >> 24) & 0x80u;
  const int exponent = static_cast<int>(magnitude >> 23) - 127;
  // Below the smallest normal the mantissa keeps fewer bits, down to none.
  const int missing = exponent < Layout::kMinExponent ? Layout::kMinExponent - exponent : 0;
  const int dropped = 23 - Layout::kMantissaBits + missing;
  if (dropped > 24) return static_cast<uint8_t>(sign);
  const uint32_t significand = (magnitude & 0x7fffffu) | 0x800000u;
  const uint32_t kept = significand >> dropped;
  const uint32_t half = 1u << (dropped - 1);
  const uint32_t rest = significand & ((1u << dropped) - 1);
  const uint32_t rounded = kept + ((rest > half || (rest == half && (kept & 1))) ? 1 : 0);
  // The leading one of a normal adds itself to the exponent field, as does a carry.
  const int field = missing > 0 ? 0 : exponent - Layout::kMinExponent;
  const uint32_t bits = (static_cast<uint32_t>(field) << Layout::kMantissaBits) + rounded;
  const uint32_t saturated = bits < Layout::kMaxFinite ? bits : Layout::kMaxFinite;
  return static_cast<uint8_t>(sign | saturated);
}

// As EncodeFp8Bits, for a float32 value.
template <int kExponentBits>
__device__ __forceinline__ uint8_t EncodeFp8(float x) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
  uint16_t pair;
  if constexpr (kExponentBits == 4) {
    asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(0.0f), "f"(x));
  } else {
    asm("cvt.rn.satfinite.e5m2x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(0.0f), "f"(x));
  }
  return x != x ? uint8_t{0x7f} : static_cast<uint8_t>(pair);
#else
  return EncodeFp8Bits<kExponentBits>(__float_as_uint(x));
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
