// Tensors that torch computes when they are read.
#ifndef STABLEKV_CSRC_LIBTORCH_UNSTABLE_VALUES_IN_MEMORY_H_
#define STABLEKV_CSRC_LIBTORCH_UNSTABLE_VALUES_IN_MEMORY_H_

#include <ATen/core/Tensor.h>

namespace stablekv {

// Throws std::runtime_error for a conjugate or negative view, whose memory holds other values, and
// for a zero tensor, which has none.
void CheckValuesInMemory(const char* op, const char* argument, const at::Tensor& tensor);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_LIBTORCH_UNSTABLE_VALUES_IN_MEMORY_H_
