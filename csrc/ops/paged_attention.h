// paged_attention_v1 and _v2: from the operators' arguments to the kernel's parameters.
#ifndef STABLEKV_CSRC_OPS_PAGED_ATTENTION_H_
#define STABLEKV_CSRC_OPS_PAGED_ATTENTION_H_

#include <cstdint>
#include <optional>
#include <string_view>

#include "csrc/kernels/attention/paged_attention.h"
#include "csrc/kernels/common/status.h"
#include "csrc/ops/tensor_arg.h"

namespace stablekv {

// What both versions take.
struct PagedAttentionArgs {
  TensorArg out;          // [num_seqs, num_heads, head_size], written
  TensorArg query;        // [num_seqs, num_heads, head_size]
  TensorArg key_cache;    // [num_blocks, num_kv_heads, head_size / x, block_size, x]
  TensorArg value_cache;  // [num_blocks, num_kv_heads, head_size, block_size]
  int64_t num_kv_heads;
  double scale;
  TensorArg block_tables;  // [num_seqs, max_blocks_per_seq], int32
  TensorArg seq_lens;      // [num_seqs], int32
  int64_t block_size;
  int64_t max_seq_len;
  std::optional<TensorArg> alibi_slopes;  // [num_heads], float32
  std::string_view kv_cache_dtype;
  TensorArg k_scale;  // float32, one element
  TensorArg v_scale;  // float32, one element
  int64_t tp_rank;
  int64_t blocksparse_local_blocks;
  int64_t blocksparse_vert_stride;
  int64_t blocksparse_block_size;
  int64_t blocksparse_head_sliding_step;
};

// What only v2 takes: contiguous tensors of any rank, at least as big as PagedAttentionScratch
// says. All are written.
struct PagedAttentionScratchArgs {
  TensorArg exp_sums;    // float32
  TensorArg max_logits;  // float32
  TensorArg tmp_out;     // the dtype of query
};

// Check everything that can be known without reading memory, then fill the parameters. Tensors must
// outlive them. Zero sequences are fine.
Status PreparePagedAttentionV1(const PagedAttentionArgs& args, PagedAttentionParams* params);
Status PreparePagedAttentionV2(const PagedAttentionArgs& args,
                               const PagedAttentionScratchArgs& scratch_args,
                               PagedAttentionParams* params, PagedAttentionScratch* scratch);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_OPS_PAGED_ATTENTION_H_
