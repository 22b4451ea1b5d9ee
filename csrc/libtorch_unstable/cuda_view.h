// A CUDA tensor on the host's pinned memory.
#ifndef STABLEKV_CSRC_LIBTORCH_UNSTABLE_CUDA_VIEW_H_
#define STABLEKV_CSRC_LIBTORCH_UNSTABLE_CUDA_VIEW_H_

#include <ATen/core/Tensor.h>

namespace stablekv {

// The memory of `cpu_tensor`, which is pinned, as the current CUDA device sees it: what the one
// writes the other reads, without a copy. Same sizes, strides and dtype. The result keeps the
// memory alive; what a stream still does with it then is the caller's to wait for.
//
// Throws std::runtime_error where there is no CUDA, and for a tensor that is on another device, not
// pinned as one from its first byte to its last, or whose values are not in its memory.
at::Tensor CudaViewFromCpuTensor(const at::Tensor& cpu_tensor);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_LIBTORCH_UNSTABLE_CUDA_VIEW_H_
