// Rotates pairs of elements on CUDA as rotary_rows_cpu.h says.
#ifndef STABLEKV_CSRC_KERNELS_MLA_CUDA_ROTARY_CUH_
#define STABLEKV_CSRC_KERNELS_MLA_CUDA_ROTARY_CUH_

#include <cstdint>

#include "csrc/kernels/common/cuda/number_format.cuh"
#include "csrc/kernels/common/types.h"

namespace stablekv {

// Nearest even to `value`, as a number of the element type.
template <ElementType kElement>
__device__ __forceinline__ float Rounded(float value) {
  if constexpr (kElement == ElementType::kFloat32) return value;
  return Decode<ElementFormat<kElement>>(ElementFormat<kElement>::Encode(value));
}

// The bits of a result. A NaN has all of them set but the sign.
template <ElementType kElement>
__device__ __forceinline__ typename ElementFormat<kElement>::Bits ResultBits(float value) {
  using Bits = typename ElementFormat<kElement>::Bits;
  constexpr Bits kNan = static_cast<Bits>(static_cast<Bits>(~Bits{0}) >> 1);
  return value != value ? kNan : ElementFormat<kElement>::Encode(value);
}

// Replaces the pair (x, y), as bits, by (x * cos - y * sin, y * cos + x * sin). The intrinsics are
// never contracted into fused multiply-adds.
template <ElementType kElement>
__device__ __forceinline__ void RotatePair(typename ElementFormat<kElement>::Bits cos_bits,
                                           typename ElementFormat<kElement>::Bits sin_bits,
                                           typename ElementFormat<kElement>::Bits& x_bits,
                                           typename ElementFormat<kElement>::Bits& y_bits) {
  using Format = ElementFormat<kElement>;
  const float x = Decode<Format>(x_bits);
  const float y = Decode<Format>(y_bits);
  const float cos = Decode<Format>(cos_bits);
  const float sin = Decode<Format>(sin_bits);
  const float x_cos = Rounded<kElement>(__fmul_rn(x, cos));
  const float y_sin = Rounded<kElement>(__fmul_rn(y, sin));
  const float y_cos = Rounded<kElement>(__fmul_rn(y, cos));
  const float x_sin = Rounded<kElement>(__fmul_rn(x, sin));
  x_bits = ResultBits<kElement>(__fsub_rn(x_cos, y_sin));
  y_bits = ResultBits<kElement>(__fadd_rn(y_cos, x_sin));
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_MLA_CUDA_ROTARY_CUH_
