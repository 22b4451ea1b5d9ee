// Scales that are found from the elements they are for: the same bits on the CPU and on CUDA.
#ifndef STABLEKV_CSRC_KERNELS_MLA_GROUP_SCALE_H_
#define STABLEKV_CSRC_KERNELS_MLA_GROUP_SCALE_H_

#include <cfloat>
#include <cstdint>

#include "csrc/kernels/common/float_bits.h"
#include "csrc/kernels/common/host_device.h"

namespace stablekv {

inline constexpr float kLargestE4M3 = 448.0f;

// A float32 division, rounded to nearest even, whatever the compiler's options.
STABLEKV_HOST_DEVICE inline float Divide(float a, float b) {
#ifdef __CUDA_ARCH__
  return __fdiv_rn(a, b);
#else
  return a / b;
#endif
}

// The scale of a tile of "fp8_ds_mla" whose largest magnitude is `amax`, which is not NaN. The
// smallest normal number keeps a tile of zeros from being divided by 0.
STABLEKV_HOST_DEVICE inline float DsMlaTileScale(float amax) {
  const float scale = Divide(amax, kLargestE4M3);
  return scale > FLT_MIN ? scale : FLT_MIN;
}

// The smallest power of two that is no less than `x`, a positive normal number; Inf for Inf.
STABLEKV_HOST_DEVICE inline float PowerOfTwoFrom(float x) {
  return BitsToFloat((FloatToBits(x) + 0x7FFFFF) & 0xFF800000);
}

// The scale of a group of the indexer's keys whose largest magnitude is `amax`, which is not NaN.
STABLEKV_HOST_DEVICE inline float IndexerGroupScale(float amax, bool power_of_two) {
  const float scale = Divide(amax > 1e-4f ? amax : 1e-4f, kLargestE4M3);
  return power_of_two ? PowerOfTwoFrom(scale) : scale;
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_MLA_GROUP_SCALE_H_
