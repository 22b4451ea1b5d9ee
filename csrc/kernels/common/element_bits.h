// The bits that a kernel stores for a float32 result, on the host the same as on CUDA.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_ELEMENT_BITS_H_
#define STABLEKV_CSRC_KERNELS_COMMON_ELEMENT_BITS_H_

#include <cstdint>
#include <type_traits>

#include "csrc/kernels/common/bfloat16.h"
#include "csrc/kernels/common/float16.h"
#include "csrc/kernels/common/float_bits.h"
#include "csrc/kernels/common/types.h"

namespace stablekv {

template <ElementType kElement>
using ElementBits = std::conditional_t<kElement == ElementType::kFloat32, uint32_t, uint16_t>;

template <ElementType kElement>
inline float ElementToFloat(ElementBits<kElement> bits) {
  if constexpr (kElement == ElementType::kFloat32) return BitsToFloat(bits);
  if constexpr (kElement == ElementType::kFloat16) return Float16ToFloat(bits);
  if constexpr (kElement == ElementType::kBFloat16) return BFloat16ToFloat(bits);
}

// Nearest even. A NaN becomes the one that CUDA's arithmetic makes, all bits set but the sign: what
// a CPU makes of it depends on the order of operands.
template <ElementType kElement>
inline ElementBits<kElement> FloatToElement(float value) {
  const uint32_t bits = FloatToBits(value);
  const bool is_nan = (bits & 0x7FFFFFFF) > kFloatInfinityBits;
  if (is_nan) return static_cast<ElementBits<kElement>>(ElementBits<kElement>(~0u) >> 1);
  if constexpr (kElement == ElementType::kFloat32) return bits;
  if constexpr (kElement == ElementType::kFloat16) return FloatBitsToFloat16(bits);
  if constexpr (kElement == ElementType::kBFloat16) return FloatBitsToBFloat16(bits);
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_COMMON_ELEMENT_BITS_H_
