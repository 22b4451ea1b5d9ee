// concat_and_cache_mla_rope_fused: from the operator's arguments to the kernel's parameters.
#ifndef STABLEKV_CSRC_OPS_CONCAT_AND_CACHE_MLA_ROPE_FUSED_H_
#define STABLEKV_CSRC_OPS_CONCAT_AND_CACHE_MLA_ROPE_FUSED_H_

#include <string_view>

#include "csrc/kernels/common/status.h"
#include "csrc/kernels/mla/concat_and_cache_mla_rope_fused.h"
#include "csrc/ops/tensor_arg.h"

namespace stablekv {

struct ConcatAndCacheMlaRopeFusedArgs {
  TensorArg positions;      // [>= num_tokens], int64
  TensorArg q_pe;           // [>= num_tokens, num_heads, pe_dim], written
  TensorArg k_pe;           // [>= num_tokens, pe_dim], written
  TensorArg kv_c;           // [>= num_tokens, kv_lora_rank]
  TensorArg cos_sin_cache;  // [num_positions, pe_dim]
  bool is_neox;
  TensorArg slot_mapping;  // [num_tokens], int64
  TensorArg kv_cache;      // [num_blocks, block_size, kv_lora_rank + pe_dim], written
  std::string_view kv_cache_dtype;
  TensorArg kv_cache_scale;  // float32, one element
};

// Checks everything that can be known without reading memory, then fills `params`. Tensors must
// outlive it. Zero tokens are fine.
Status PrepareConcatAndCacheMlaRopeFused(const ConcatAndCacheMlaRopeFusedArgs& args,
                                         ConcatAndCacheMlaRopeFusedParams* params);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_OPS_CONCAT_AND_CACHE_MLA_ROPE_FUSED_H_
