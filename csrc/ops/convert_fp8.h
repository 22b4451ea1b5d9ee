// convert_fp8: from the operator's arguments to the kernel's parameters.
#ifndef STABLEKV_CSRC_OPS_CONVERT_FP8_H_
#define STABLEKV_CSRC_OPS_CONVERT_FP8_H_

#include <string_view>

#include "csrc/kernels/cache/convert_fp8.h"
#include "csrc/kernels/common/status.h"
#include "csrc/ops/tensor_arg.h"

namespace stablekv {

// One of the two holds float32, float16 or bfloat16, the other one fp8.
struct ConvertFp8Args {
  TensorArg dst_cache;  // any shape without gaps, written
  TensorArg src_cache;  // of the same shape and strides
  double scale;
  std::string_view kv_cache_dtype;
};

// Checks everything, then fills `params`. Tensors must outlive it. Empty ones are fine.
Status PrepareConvertFp8(const ConvertFp8Args& args, ConvertFp8Params* params);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_OPS_CONVERT_FP8_H_
