// Conversions from float32 to e2m1, the 4-bit float, the same codes on every backend.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_FP4_H_
#define STABLEKV_CSRC_KERNELS_COMMON_FP4_H_

#include <cstdint>

#include "csrc/kernels/common/float_bits.h"
#include "csrc/kernels/common/host_device.h"

namespace stablekv {

inline constexpr uint8_t kFp4E2M1Max = 7;  // 6

// Codes 0 to 7 are 0, 0.5, 1, 1.5, 2, 3, 4, 6; bit 3 is the sign. Nearest, ties to even; what is
// too large, Inf too, becomes 6. -0 stays -0. NaN becomes +6, as in CUDA's conversion.
STABLEKV_HOST_DEVICE constexpr uint8_t FloatBitsToFp4E2M1(uint32_t bits) {
  const uint32_t magnitude = bits & 0x7FFFFFFF;
  if (magnitude > kFloatInfinityBits) return kFp4E2M1Max;
  const uint32_t sign = (bits >> 28) & 8;
  uint32_t code = 0;
  if (magnitude >= 0x40C00000) {  // 6
    code = kFp4E2M1Max;
  } else if (magnitude >= 0x3F800000) {  // 1: the smallest normal value
    code = ShiftRightToNearestEven(magnitude - (uint32_t{126} << 23), 22);
  } else {
    code = MagnitudeInUnits(magnitude, -1);
  }
  return static_cast<uint8_t>(sign | code);
}

STABLEKV_HOST_DEVICE inline uint8_t FloatToFp4E2M1(float value) {
  return FloatBitsToFp4E2M1(FloatToBits(value));
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_COMMON_FP4_H_
