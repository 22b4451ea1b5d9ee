// Kernels that overlap their neighbours in the stream (LaunchConfig::overlap_earlier). Chips before
// sm_90 run one after the other.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_CUDA_OVERLAP_CUH_
#define STABLEKV_CSRC_KERNELS_COMMON_CUDA_OVERLAP_CUH_

namespace stablekv {

// Returns when the kernels before this one in the stream are done and what they wrote is visible.
// Nothing of theirs may be read, and nothing they read may be written, before.
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

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_COMMON_CUDA_OVERLAP_CUH_
