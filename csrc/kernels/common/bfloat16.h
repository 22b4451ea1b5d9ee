// bfloat16 <-> float32. A bfloat16 is the upper half of a float32.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_BFLOAT16_H_
#define STABLEKV_CSRC_KERNELS_COMMON_BFLOAT16_H_

#include <cstdint>

#include "csrc/kernels/common/float_bits.h"
#include "csrc/kernels/common/host_device.h"

namespace stablekv {

STABLEKV_HOST_DEVICE constexpr uint32_t BFloat16ToFloatBits(uint16_t value) {
  return static_cast<uint32_t>(value) << 16;
}

// Nearest even; overflow gives Inf; a NaN stays a NaN of the same sign and becomes quiet.
STABLEKV_HOST_DEVICE constexpr uint16_t FloatBitsToBFloat16(uint32_t bits) {
  if ((bits & 0x7FFFFFFF) > kFloatInfinityBits) {
    return static_cast<uint16_t>((bits >> 16) | 0x0040);
  }
  return static_cast<uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

STABLEKV_HOST_DEVICE inline float BFloat16ToFloat(uint16_t value) {
  return BitsToFloat(BFloat16ToFloatBits(value));
}

STABLEKV_HOST_DEVICE inline uint16_t FloatToBFloat16(float value) {
  return FloatBitsToBFloat16(FloatToBits(value));
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_COMMON_BFLOAT16_H_
