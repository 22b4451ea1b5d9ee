// The operators as torch calls them: one function for every backend, checking, then launching.
// Schemas are in registration.cc, meanings in csrc/kernels.
#ifndef STABLEKV_CSRC_LIBTORCH_STABLE_OPS_H_
#define STABLEKV_CSRC_LIBTORCH_STABLE_OPS_H_

#include <torch/csrc/stable/tensor.h>

#include <cstdint>
#include <optional>

#include "csrc/libtorch_stable/string_arg.h"
#include "csrc/libtorch_stable/target_version.h"

namespace stablekv {

void ReshapeAndCache(const torch::stable::Tensor& key, const torch::stable::Tensor& value,
                     const torch::stable::Tensor& key_cache,
                     const torch::stable::Tensor& value_cache,
                     const torch::stable::Tensor& slot_mapping, const StringArg& kv_cache_dtype,
                     const torch::stable::Tensor& k_scale, const torch::stable::Tensor& v_scale);

void ReshapeAndCacheFlash(const torch::stable::Tensor& key, const torch::stable::Tensor& value,
                          const torch::stable::Tensor& key_cache,
                          const torch::stable::Tensor& value_cache,
                          const torch::stable::Tensor& slot_mapping,
                          const StringArg& kv_cache_dtype, const torch::stable::Tensor& k_scale,
                          const torch::stable::Tensor& v_scale);

void PagedAttentionV1(const torch::stable::Tensor& out, const torch::stable::Tensor& query,
                      const torch::stable::Tensor& key_cache,
                      const torch::stable::Tensor& value_cache, int64_t num_kv_heads, double scale,
                      const torch::stable::Tensor& block_tables,
                      const torch::stable::Tensor& seq_lens, int64_t block_size,
                      int64_t max_seq_len, const std::optional<torch::stable::Tensor>& alibi_slopes,
                      const StringArg& kv_cache_dtype, const torch::stable::Tensor& k_scale,
                      const torch::stable::Tensor& v_scale, int64_t tp_rank,
                      int64_t blocksparse_local_blocks, int64_t blocksparse_vert_stride,
                      int64_t blocksparse_block_size, int64_t blocksparse_head_sliding_step);

void PagedAttentionV2(const torch::stable::Tensor& out, const torch::stable::Tensor& exp_sums,
                      const torch::stable::Tensor& max_logits, const torch::stable::Tensor& tmp_out,
                      const torch::stable::Tensor& query, const torch::stable::Tensor& key_cache,
                      const torch::stable::Tensor& value_cache, int64_t num_kv_heads, double scale,
                      const torch::stable::Tensor& block_tables,
                      const torch::stable::Tensor& seq_lens, int64_t block_size,
                      int64_t max_seq_len, const std::optional<torch::stable::Tensor>& alibi_slopes,
                      const StringArg& kv_cache_dtype, const torch::stable::Tensor& k_scale,
                      const torch::stable::Tensor& v_scale, int64_t tp_rank,
                      int64_t blocksparse_local_blocks, int64_t blocksparse_vert_stride,
                      int64_t blocksparse_block_size, int64_t blocksparse_head_sliding_step);

void ConcatAndCacheMla(const torch::stable::Tensor& kv_c, const torch::stable::Tensor& k_pe,
                       const torch::stable::Tensor& kv_cache,
                       const torch::stable::Tensor& slot_mapping, const StringArg& kv_cache_dtype,
                       const torch::stable::Tensor& scale);

void ConcatAndCacheMlaRopeFused(
    const torch::stable::Tensor& positions, const torch::stable::Tensor& q_pe,
    const torch::stable::Tensor& k_pe, const torch::stable::Tensor& kv_c,
    const torch::stable::Tensor& cos_sin_cache, bool is_neox,
    const torch::stable::Tensor& slot_mapping, const torch::stable::Tensor& kv_cache,
    const StringArg& kv_cache_dtype, const torch::stable::Tensor& kv_cache_scale);

void ConcatMlaQ(const torch::stable::Tensor& ql_nope, const torch::stable::Tensor& q_pe,
                const torch::stable::Tensor& q_out);

void IndexerKQuantAndCache(const torch::stable::Tensor& k, const torch::stable::Tensor& kv_cache,
                           const torch::stable::Tensor& slot_mapping, int64_t quant_block_size,
                           const StringArg& kv_cache_dtype);

void SwapBlocks(const torch::stable::Tensor& src, const torch::stable::Tensor& dst,
                int64_t block_size_in_bytes, const torch::stable::Tensor& block_mapping);

void CpGatherCache(const torch::stable::Tensor& src_cache, const torch::stable::Tensor& dst,
                   const torch::stable::Tensor& block_table,
                   const torch::stable::Tensor& cu_seq_lens, int64_t batch_size,
                   const std::optional<torch::stable::Tensor>& seq_starts);

void GatherAndMaybeDequantCache(const torch::stable::Tensor& src_cache,
                                const torch::stable::Tensor& dst,
                                const torch::stable::Tensor& block_table,
                                const torch::stable::Tensor& cu_seq_lens,
                                const torch::stable::Tensor& token_to_seq, int64_t num_tokens,
                                const StringArg& kv_cache_dtype, const torch::stable::Tensor& scale,
                                const std::optional<torch::stable::Tensor>& seq_starts);

void CpGatherAndUpconvertFp8KvCache(const torch::stable::Tensor& src_cache,
                                    const torch::stable::Tensor& dst,
                                    const torch::stable::Tensor& block_table,
                                    const torch::stable::Tensor& seq_lens,
                                    const torch::stable::Tensor& workspace_starts,
                                    int64_t batch_size);

void CpGatherIndexerKQuantCache(const torch::stable::Tensor& kv_cache,
                                const torch::stable::Tensor& dst_k,
                                const torch::stable::Tensor& dst_scale,
                                const torch::stable::Tensor& block_table,
                                const torch::stable::Tensor& cu_seq_lens);

void MergeAttnStates(const torch::stable::Tensor& output,
                     const std::optional<torch::stable::Tensor>& output_lse,
                     const torch::stable::Tensor& prefix_output,
                     const torch::stable::Tensor& prefix_lse,
                     const torch::stable::Tensor& suffix_output,
                     const torch::stable::Tensor& suffix_lse,
                     std::optional<int64_t> prefill_tokens_with_context,
                     const std::optional<torch::stable::Tensor>& output_scale);

void SwapBlocksBatch(const torch::stable::Tensor& src_ptrs, const torch::stable::Tensor& dst_ptrs,
                     const torch::stable::Tensor& sizes, bool is_src_access_order_any);

void ConvertFp8(const torch::stable::Tensor& dst_cache, const torch::stable::Tensor& src_cache,
                double scale, const StringArg& kv_cache_dtype);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_LIBTORCH_STABLE_OPS_H_
