// Words for what a tensor is, for messages.
#ifndef STABLEKV_CSRC_OPS_DESCRIBE_H_
#define STABLEKV_CSRC_OPS_DESCRIBE_H_

#include <cstdint>
#include <string>

#include "csrc/ops/tensor_arg.h"

namespace stablekv {

// As torch prints it, without "torch.": "float16".
const char* NameOf(DType dtype);

// "cpu", "cuda:0".
std::string NameOf(const Device& device);

// "[2, 8, 64]".
std::string ListOf(const int64_t* values, int64_t count);

inline std::string SizesOf(const TensorArg& tensor) { return ListOf(tensor.sizes, tensor.dim); }
inline std::string StridesOf(const TensorArg& tensor) { return ListOf(tensor.strides, tensor.dim); }

}  // namespace stablekv

#endif  // STABLEKV_CSRC_OPS_DESCRIBE_H_
