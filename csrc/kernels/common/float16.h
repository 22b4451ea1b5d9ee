// IEEE float16 (1 sign, 5 exponent, 10 fraction bits) <-> float32.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_FLOAT16_H_
#define STABLEKV_CSRC_KERNELS_COMMON_FLOAT16_H_

#include <cstdint>

#include "csrc/kernels/common/float_bits.h"
#include "csrc/kernels/common/host_device.h"

namespace stablekv {

STABLEKV_HOST_DEVICE constexpr uint32_t Float16ToFloatBits(uint16_t value) {
  const uint32_t sign = static_cast<uint32_t>(value & 0x8000) << 16;
  const uint32_t exponent = (value >> 10) & 0x1F;
  uint32_t fraction = value & 0x3FF;
  if (exponent == 0x1F) {  // Inf, or a NaN, which becomes quiet as the hardware makes it
    return sign | kFloatInfinityBits | (fraction << 13) | (fraction != 0 ? 0x400000 : 0);
  }
  if (exponent != 0) return sign | ((exponent + 112) << 23) | (fraction << 13);
  if (fraction == 0) return sign;
  uint32_t normalised = 113;  // exponent of the float32
  while ((fraction & 0x400) == 0) {
    fraction <<= 1;
    --normalised;
  }
  return sign | (normalised << 23) | ((fraction & 0x3FF) << 13);
}

// Nearest even; overflow gives Inf; a NaN stays a NaN of the same sign and becomes quiet.
STABLEKV_HOST_DEVICE constexpr uint16_t FloatBitsToFloat16(uint32_t bits) {
  const uint32_t sign = (bits >> 16) & 0x8000;
  const uint32_t magnitude = bits & 0x7FFFFFFF;
  uint32_t result = 0;
  if (magnitude > kFloatInfinityBits) {
    result = 0x7E00 | ((magnitude >> 13) & 0x3FF);
  } else if (magnitude >= 0x477FF000) {  // 65520: the tie above the largest finite value
    result = 0x7C00;
  } else if (magnitude >= 0x38800000) {  // 2^-14: the smallest normal value
    result = ShiftRightToNearestEven(magnitude - (uint32_t{112} << 23), 13);
  } else {
    result = MagnitudeInUnits(magnitude, -24);
  }
  return static_cast<uint16_t>(sign | result);
}

STABLEKV_HOST_DEVICE inline float Float16ToFloat(uint16_t value) {
  return BitsToFloat(Float16ToFloatBits(value));
}

STABLEKV_HOST_DEVICE inline uint16_t FloatToFloat16(float value) {
  return FloatBitsToFloat16(FloatToBits(value));
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_COMMON_FLOAT16_H_
