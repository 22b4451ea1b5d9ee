// The Status of a CUDA kernel that could not be launched.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_CUDA_LAUNCH_ERROR_H_
#define STABLEKV_CSRC_KERNELS_COMMON_CUDA_LAUNCH_ERROR_H_

#include <cuda_runtime_api.h>

#include "csrc/kernels/common/status.h"

namespace stablekv {

// Names the kernel and the error; for a device without code in this build, both sides and what to
// do. Clears the thread's last error, which this is.
Status LaunchError(const char* kernel, cudaError_t error);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_COMMON_CUDA_LAUNCH_ERROR_H_
