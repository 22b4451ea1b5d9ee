// What all lanes of a warp do together.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_CUDA_WARP_CUH_
#define STABLEKV_CSRC_KERNELS_COMMON_CUDA_WARP_CUH_

namespace stablekv {

inline constexpr unsigned kFullWarp = 0xffffffffu;  // a mask of all lanes

__device__ __forceinline__ float WarpMax(float value) {
#pragma unroll
  for (int mask = 16; mask > 0; mask /= 2) {
    value = fmaxf(value, __shfl_xor_sync(kFullWarp, value, mask));
  }
  return value;
}

__device__ __forceinline__ float WarpSum(float value) {
#pragma unroll
  for (int mask = 16; mask > 0; mask /= 2) value += __shfl_xor_sync(kFullWarp, value, mask);
  return value;
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_COMMON_CUDA_WARP_CUH_
