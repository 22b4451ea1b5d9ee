// concat_and_cache_mla: from the operator's arguments to the kernel's parameters.
#ifndef STABLEKV_CSRC_OPS_CONCAT_AND_CACHE_MLA_H_
#define STABLEKV_CSRC_OPS_CONCAT_AND_CACHE_MLA_H_

#include <string_view>

#include "csrc/kernels/common/status.h"
#include "csrc/kernels/mla/concat_and_cache_mla.h"
#include "csrc/ops/tensor_arg.h"

namespace stablekv {

struct ConcatAndCacheMlaArgs {
  TensorArg kv_c;          // [>= num_tokens, kv_lora_rank]
  TensorArg k_pe;          // [>= num_tokens, pe_dim]
  TensorArg kv_cache;      // [num_blocks, block_size, kv_lora_rank + pe_dim or 656], written
  TensorArg slot_mapping;  // [num_tokens], int64
  std::string_view kv_cache_dtype;
  TensorArg scale;  // float32, one element
};

// Checks everything that can be known without reading memory, then fills `params`. Tensors must
// outlive it. Zero tokens are fine.
Status PrepareConcatAndCacheMla(const ConcatAndCacheMlaArgs& args, ConcatAndCacheMlaParams* params);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_OPS_CONCAT_AND_CACHE_MLA_H_
