// torch::stable::Tensor -> TensorArg.
#ifndef STABLEKV_CSRC_LIBTORCH_STABLE_TENSOR_ARG_H_
#define STABLEKV_CSRC_LIBTORCH_STABLE_TENSOR_ARG_H_

#include <torch/csrc/stable/tensor.h>

#include "csrc/libtorch_stable/target_version.h"
#include "csrc/ops/tensor_arg.h"

namespace stablekv {

// Views of `tensor`, valid as long as it lives. An input is not made to own its memory (torch may
// share it copy-on-write); an output is.
TensorArg InputArg(const char* name, const torch::stable::Tensor& tensor);
TensorArg OutputArg(const char* name, const torch::stable::Tensor& tensor);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_LIBTORCH_STABLE_TENSOR_ARG_H_
