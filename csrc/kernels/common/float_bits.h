// The bits of an IEEE float32, and what the narrower formats' conversions need to know of them.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_FLOAT_BITS_H_
#define STABLEKV_CSRC_KERNELS_COMMON_FLOAT_BITS_H_

#include <cstdint>
#include <cstring>

#include "csrc/kernels/common/host_device.h"

namespace stablekv {

inline constexpr uint32_t kFloatInfinityBits = 0x7F800000;

STABLEKV_HOST_DEVICE inline uint32_t FloatToBits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  return bits;
}

STABLEKV_HOST_DEVICE inline float BitsToFloat(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof(value));
  return value;
}

// value / 2^shift rounded to nearest, ties to even; 1 <= shift <= 31, value < 2^31.
STABLEKV_HOST_DEVICE constexpr uint32_t ShiftRightToNearestEven(uint32_t value, int shift) {
  return (value + (uint32_t{1} << (shift - 1)) - 1 + ((value >> shift) & 1)) >> shift;
}

// |x| as a multiple of 2^unit_exponent, rounded to nearest even, for the bits of a finite |x| that
// is less than 2^24 such units: how a format's subnormals are made.
STABLEKV_HOST_DEVICE constexpr uint32_t MagnitudeInUnits(uint32_t magnitude_bits,
                                                         int unit_exponent) {
  const uint32_t exponent = magnitude_bits >> 23;
  const uint32_t significand =
      exponent == 0 ? magnitude_bits : (magnitude_bits & 0x7FFFFF) | 0x800000;
  // |x| = significand * 2^(max(exponent, 1) - 150).
  const int shift = unit_exponent + 150 - static_cast<int>(exponent == 0 ? 1 : exponent);
  return shift > 25 ? 0 : ShiftRightToNearestEven(significand, shift);
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_COMMON_FLOAT_BITS_H_
