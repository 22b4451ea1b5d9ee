// merge_attn_states: from the operator's arguments to the kernel's parameters.
#ifndef STABLEKV_CSRC_OPS_MERGE_ATTN_STATES_H_
#define STABLEKV_CSRC_OPS_MERGE_ATTN_STATES_H_

#include <cstdint>
#include <optional>

#include "csrc/kernels/attention/merge_attn_states.h"
#include "csrc/kernels/common/status.h"
#include "csrc/ops/tensor_arg.h"

namespace stablekv {

struct MergeAttnStatesArgs {
  TensorArg output;                     // [num_tokens, num_heads, head_size], written
  std::optional<TensorArg> output_lse;  // [num_heads, num_tokens], float32, written
  TensorArg prefix_output;              // [num_tokens, num_heads, head_size]
  TensorArg prefix_lse;                 // [num_heads, num_tokens], float32
  TensorArg suffix_output;              // [num_tokens, num_heads, head_size]
  TensorArg suffix_lse;                 // [num_heads, num_tokens], float32
  std::optional<int64_t> prefill_tokens_with_context;  // all tokens when absent
  std::optional<TensorArg> output_scale;               // float32, one element
};

// Checks everything that can be known without reading memory, then fills `params`.
Status PrepareMergeAttnStates(const MergeAttnStatesArgs& args, MergeAttnStatesParams* params);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_OPS_MERGE_ATTN_STATES_H_
