// The CUDA stream that torch is using.
#ifndef STABLEKV_CSRC_LIBTORCH_STABLE_CUDA_STREAM_H_
#define STABLEKV_CSRC_LIBTORCH_STABLE_CUDA_STREAM_H_

#include <cstdint>

#include "csrc/kernels/common/cuda_stream.h"

namespace stablekv {

// True when torch is built with CUDA, whether or not there is a device.
bool TorchHasCuda();

// The current stream of the device. Throws std::runtime_error in a torch without CUDA.
CudaStream CurrentCudaStream(int32_t device_index);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_LIBTORCH_STABLE_CUDA_STREAM_H_
