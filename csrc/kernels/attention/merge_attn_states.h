// Merges attention over a prefix and attention over a suffix of the same queries' keys.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_MERGE_ATTN_STATES_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_MERGE_ATTN_STATES_H_

#include <cstdint>

#include "csrc/kernels/common/cuda_stream.h"
#include "csrc/kernels/common/parallel.h"
#include "csrc/kernels/common/status.h"
#include "csrc/kernels/common/types.h"

namespace stablekv {

// An attention output [num_tokens, num_heads, head_size], strides in elements.
template <typename Data>
struct AttnStates {
  Data* data;
  int64_t token_stride;
  int64_t head_stride;
};

// Logarithms of sums of exponentials, [num_heads, num_tokens] float32, strides in elements.
template <typename Data>
struct AttnLses {
  Data* data;
  int64_t head_stride;
  int64_t token_stride;
};

// attn_weights.h has the formula. From token `prefix_tokens` on there is no prefix: the suffix is
// taken as it is.
struct MergeAttnStatesParams {
  AttnStates<void> output;
  AttnLses<float> output_lse;  // null data: not wanted
  AttnStates<const void> prefix;
  AttnLses<const float> prefix_lse;
  AttnStates<const void> suffix;
  AttnLses<const float> suffix_lse;
  // One value, in the memory of the backend: outputs are e4m3(x * (1 / scale)). Null: `element`.
  const float* output_scale;
  int64_t num_tokens;
  int64_t num_heads;
  int64_t head_size;
  int64_t prefix_tokens;  // <= num_tokens
  ElementType element;    // of prefix and suffix
};

Status MergeAttnStatesCpu(const MergeAttnStatesParams& params, ParallelFor parallel_for);

// Asynchronous on `stream`.
Status MergeAttnStatesCuda(const MergeAttnStatesParams& params, CudaStream stream);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_MERGE_ATTN_STATES_H_
