// reshape_and_cache_flash: from the operator's arguments to the kernel's parameters.
#ifndef STABLEKV_CSRC_OPS_RESHAPE_AND_CACHE_FLASH_H_
#define STABLEKV_CSRC_OPS_RESHAPE_AND_CACHE_FLASH_H_

#include <string_view>

#include "csrc/kernels/cache/reshape_and_cache_flash.h"
#include "csrc/kernels/common/status.h"
#include "csrc/ops/tensor_arg.h"

namespace stablekv {

struct ReshapeAndCacheFlashArgs {
  TensorArg key;           // [>= num_tokens, num_heads, head_size]
  TensorArg value;         // [>= num_tokens, num_heads, head_size]
  TensorArg key_cache;     // [num_blocks, block_size, num_heads, head_size], written
  TensorArg value_cache;   // [num_blocks, block_size, num_heads, head_size], written
  TensorArg slot_mapping;  // [num_tokens], int64
  std::string_view kv_cache_dtype;
  TensorArg k_scale;  // float32, one element or num_heads
  TensorArg v_scale;  // float32, the shape of k_scale
};

// Checks everything that can be known without reading memory, then fills `params`. Tensors must
// outlive it. Zero tokens are fine.
Status PrepareReshapeAndCacheFlash(const ReshapeAndCacheFlashArgs& args,
                                   ReshapeAndCacheFlashParams* params);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_OPS_RESHAPE_AND_CACHE_FLASH_H_
