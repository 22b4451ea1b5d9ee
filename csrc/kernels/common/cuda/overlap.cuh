// Kernels that overlap their neighbours in the stream (LaunchConfig::overlap_earlier). Chips before
// sm_90 run one after the other.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_CUDA_OVERLAP_CUH_
#define STABLEKV_CSRC_KERNELS_COMMON_CUDA_OVERLAP_CUH_

#include <cstdint>

namespace stablekv {

// Returns when the kernels before this one in the stream are done and what they wrote is visible.
// Before, nothing they read may be written, and what they write may be read as a guess alone, with
// LoadUncached().
__device__ __forceinline__ void WaitForEarlierKernels() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// The next kernel may be put onto the chip once all CTAs have come here; it has to wait for the end
// of this one by itself.
__device__ __forceinline__ void LetNextKernelStart() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

// Reads past the first-level cache, which would give a guess from before WaitForEarlierKernels()
// again after it.
__device__ __forceinline__ int32_t LoadUncached(const int32_t* source) {
  int32_t value = 0;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 700
  asm volatile("ld.relaxed.gpu.global.s32 %0, [%1];" : "=r"(value) : "l"(source));
#endif
  return value;
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_COMMON_CUDA_OVERLAP_CUH_
