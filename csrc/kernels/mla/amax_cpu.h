// The largest magnitude of 16-bit elements.
#ifndef STABLEKV_CSRC_KERNELS_MLA_AMAX_CPU_H_
#define STABLEKV_CSRC_KERNELS_MLA_AMAX_CPU_H_

#include <cstdint>

#include "csrc/kernels/common/bfloat16.h"
#include "csrc/kernels/common/float16.h"
#include "csrc/kernels/common/types.h"

namespace stablekv {

// max |x| over `count` elements, leaving out NaN; 0 when nothing is left. `element` is kFloat16 or
// kBFloat16.
inline float LargestMagnitude(const uint16_t* elements, int64_t count, ElementType element) {
  const bool half = element == ElementType::kFloat16;
  const int infinity = half ? 0x7C00 : 0x7F80;
  int largest = 0;  // magnitudes are in the order of their bits
  for (int64_t i = 0; i < count; ++i) {
    const int magnitude = elements[i] & 0x7FFF;
    const int counted = magnitude > infinity ? 0 : magnitude;
    largest = counted > largest ? counted : largest;
  }
  const auto bits = static_cast<uint16_t>(largest);
  return half ? Float16ToFloat(bits) : BFloat16ToFloat(bits);
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_MLA_AMAX_CPU_H_
