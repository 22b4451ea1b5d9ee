// A tensor on another tensor's memory that does not keep it alive.
#ifndef STABLEKV_CSRC_LIBTORCH_UNSTABLE_WEAK_REF_TENSOR_H_
#define STABLEKV_CSRC_LIBTORCH_UNSTABLE_WEAK_REF_TENSOR_H_

#include <ATen/core/Tensor.h>

namespace stablekv {

// Same address, sizes, strides, dtype and device as `input`, CPU or CUDA. The caller sees to it
// that the memory outlives the result: it exists for CUDA graphs, whose pool keeps the memory of a
// captured output that nobody should hold on to.
//
// Throws std::runtime_error for a tensor whose values are not in its memory.
at::Tensor WeakRefTensor(const at::Tensor& input);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_LIBTORCH_UNSTABLE_WEAK_REF_TENSOR_H_
