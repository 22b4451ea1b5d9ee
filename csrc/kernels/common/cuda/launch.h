// Launching a CUDA kernel so that its error comes back as a Status.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_CUDA_LAUNCH_H_
#define STABLEKV_CSRC_KERNELS_COMMON_CUDA_LAUNCH_H_

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdint>

#include "csrc/kernels/common/cuda/launch_error.h"
#include "csrc/kernels/common/status.h"

namespace stablekv {

// Launches `kernel` on `stream`. The error, if any, is that of this launch alone (it is read from
// the launch call, not from the thread's last error) and does not stay behind as the last error.
template <typename... Params>
Status LaunchKernel(const char* name, void (*kernel)(Params...), dim3 grid, dim3 block,
                    cudaStream_t stream, Params... params) {
  void* pointers[] = {static_cast<void*>(&params)...};
  const cudaError_t error = cudaLaunchKernel(reinterpret_cast<const void*>(kernel), grid, block,
                                             pointers, /*sharedMem=*/0, stream);
  if (error == cudaSuccess) return Status();
  return LaunchError(name, error);
}

// The grid of a kernel whose CTAs take work items blockIdx.x, blockIdx.x + gridDim.x, ..
inline dim3 GridFor(int64_t work_items) {
  constexpr int64_t kMaxGrid = 0x7fffffff;
  return dim3(static_cast<unsigned>(std::min(work_items, kMaxGrid)));
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_COMMON_CUDA_LAUNCH_H_
