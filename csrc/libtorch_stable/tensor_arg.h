// A tensor of torch -> TensorArg.
#ifndef STABLEKV_CSRC_LIBTORCH_STABLE_TENSOR_ARG_H_
#define STABLEKV_CSRC_LIBTORCH_STABLE_TENSOR_ARG_H_

#include <optional>

#include "csrc/libtorch_stable/torch.h"
#include "csrc/ops/tensor_arg.h"

namespace stablekv {

// Views of `tensor`, valid as long as it lives. An input is not made to own its memory (torch may
// share it copy-on-write); an output is.
TensorArg InputArg(const char* name, const Tensor& tensor);
TensorArg OutputArg(const char* name, const Tensor& tensor);

// The same for a tensor that need not be given.
inline std::optional<TensorArg> OptionalInputArg(const char* name,
                                                 const std::optional<Tensor>& tensor) {
  if (!tensor.has_value()) return std::nullopt;
  return InputArg(name, *tensor);
}
inline std::optional<TensorArg> OptionalOutputArg(const char* name,
                                                  const std::optional<Tensor>& tensor) {
  if (!tensor.has_value()) return std::nullopt;
  return OutputArg(name, *tensor);
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_LIBTORCH_STABLE_TENSOR_ARG_H_
