// The two 8-bit floats of a cache, e4m3 (no Inf, largest 448) and e5m2 (largest 57344), <->
// float32.
//
// Encoding rounds to nearest even and saturates what is too large, Inf included, to the largest
// finite value. A NaN becomes 0x7F whatever its sign and payload. -0 and subnormals are kept.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_FP8_H_
#define STABLEKV_CSRC_KERNELS_COMMON_FP8_H_

#include <cstdint>

#include "csrc/kernels/common/float16.h"
#include "csrc/kernels/common/float_bits.h"
#include "csrc/kernels/common/host_device.h"

namespace stablekv {

inline constexpr uint8_t kFp8Nan = 0x7F;
inline constexpr uint8_t kFp8E4M3Max = 0x7E;  // 448
inline constexpr uint8_t kFp8E5M2Max = 0x7B;  // 57344

STABLEKV_HOST_DEVICE constexpr uint8_t FloatBitsToFp8E4M3(uint32_t bits) {
  const uint32_t sign = (bits >> 24) & 0x80;
  const uint32_t magnitude = bits & 0x7FFFFFFF;
  if (magnitude > kFloatInfinityBits) return kFp8Nan;
  uint32_t code = 0;
  if (magnitude >= 0x43E00000) {  // 448
    code = kFp8E4M3Max;
  } else if (magnitude >= 0x3C800000) {  // 2^-6: the smallest normal value
    code = ShiftRightToNearestEven(magnitude - (uint32_t{120} << 23), 20);
  } else {
    code = MagnitudeInUnits(magnitude, -9);
  }
  return static_cast<uint8_t>(sign | code);
}

STABLEKV_HOST_DEVICE constexpr uint8_t FloatBitsToFp8E5M2(uint32_t bits) {
  const uint32_t sign = (bits >> 24) & 0x80;
  const uint32_t magnitude = bits & 0x7FFFFFFF;
  if (magnitude > kFloatInfinityBits) return kFp8Nan;
  uint32_t code = 0;
  if (magnitude >= 0x47600000) {  // 57344
    code = kFp8E5M2Max;
  } else if (magnitude >= 0x38800000) {  // 2^-14: the smallest normal value
    code = ShiftRightToNearestEven(magnitude - (uint32_t{112} << 23), 21);
  } else {
    code = MagnitudeInUnits(magnitude, -16);
  }
  return static_cast<uint8_t>(sign | code);
}

// Exact. 0x7F and 0xFF are the NaNs.
STABLEKV_HOST_DEVICE constexpr uint32_t Fp8E4M3ToFloatBits(uint8_t code) {
  const uint32_t sign = static_cast<uint32_t>(code & 0x80) << 24;
  const uint32_t magnitude = code & 0x7F;
  if (magnitude == 0x7F) return sign | 0x7FC00000;
  if (magnitude >= 8) return sign | ((magnitude << 20) + (uint32_t{120} << 23));
  if (magnitude == 0) return sign;
  const uint32_t exponent = magnitude >= 4 ? 2 : magnitude >= 2 ? 1 : 0;  // magnitude * 2^-9
  return sign | ((exponent + 118) << 23) | ((magnitude << (23 - exponent)) & 0x7FFFFF);
}

// Exact. 0x7C and 0xFC are the infinities, what lies past them are NaNs.
STABLEKV_HOST_DEVICE constexpr uint32_t Fp8E5M2ToFloatBits(uint8_t code) {
  return Float16ToFloatBits(static_cast<uint16_t>(code << 8));  // e5m2 is a float16's upper half
}

STABLEKV_HOST_DEVICE inline uint8_t FloatToFp8E4M3(float value) {
  return FloatBitsToFp8E4M3(FloatToBits(value));
}
STABLEKV_HOST_DEVICE inline uint8_t FloatToFp8E5M2(float value) {
  return FloatBitsToFp8E5M2(FloatToBits(value));
}
STABLEKV_HOST_DEVICE inline float Fp8E4M3ToFloat(uint8_t code) {
  return BitsToFloat(Fp8E4M3ToFloatBits(code));
}
STABLEKV_HOST_DEVICE inline float Fp8E5M2ToFloat(uint8_t code) {
  return BitsToFloat(Fp8E5M2ToFloatBits(code));
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_COMMON_FP8_H_
