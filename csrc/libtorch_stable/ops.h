// The operators as torch calls them: one function for every backend, checking, then launching.
// Schemas are in registration.cc, meanings in csrc/kernels.
#ifndef STABLEKV_CSRC_LIBTORCH_STABLE_OPS_H_
#define STABLEKV_CSRC_LIBTORCH_STABLE_OPS_H_

#include <cstdint>
#include <optional>

#include "csrc/libtorch_stable/torch.h"

namespace stablekv {

void ReshapeAndCache(const Tensor& key, const Tensor& value, const Tensor& key_cache,
                     const Tensor& value_cache, const Tensor& slot_mapping,
                     const StringArg& kv_cache_dtype, const Tensor& k_scale, const Tensor& v_scale);

void ReshapeAndCacheFlash(const Tensor& key, const Tensor& value, const Tensor& key_cache,
                          const Tensor& value_cache, const Tensor& slot_mapping,
                          const StringArg& kv_cache_dtype, const Tensor& k_scale,
                          const Tensor& v_scale);

void PagedAttentionV1(const Tensor& out, const Tensor& query, const Tensor& key_cache,
                      const Tensor& value_cache, int64_t num_kv_heads, double scale,
                      const Tensor& block_tables, const Tensor& seq_lens, int64_t block_size,
                      int64_t max_seq_len, const std::optional<Tensor>& alibi_slopes,
                      const StringArg& kv_cache_dtype, const Tensor& k_scale, const Tensor& v_scale,
                      int64_t tp_rank, int64_t blocksparse_local_blocks,
                      int64_t blocksparse_vert_stride, int64_t blocksparse_block_size,
                      int64_t blocksparse_head_sliding_step);

void PagedAttentionV2(const Tensor& out, const Tensor& exp_sums, const Tensor& max_logits,
                      const Tensor& tmp_out, const Tensor& query, const Tensor& key_cache,
                      const Tensor& value_cache, int64_t num_kv_heads, double scale,
                      const Tensor& block_tables, const Tensor& seq_lens, int64_t block_size,
                      int64_t max_seq_len, const std::optional<Tensor>& alibi_slopes,
                      const StringArg& kv_cache_dtype, const Tensor& k_scale, const Tensor& v_scale,
                      int64_t tp_rank, int64_t blocksparse_local_blocks,
                      int64_t blocksparse_vert_stride, int64_t blocksparse_block_size,
                      int64_t blocksparse_head_sliding_step);

void ConcatAndCacheMla(const Tensor& kv_c, const Tensor& k_pe, const Tensor& kv_cache,
                       const Tensor& slot_mapping, const StringArg& kv_cache_dtype,
                       const Tensor& scale);

void ConcatAndCacheMlaRopeFused(const Tensor& positions, const Tensor& q_pe, const Tensor& k_pe,
                                const Tensor& kv_c, const Tensor& cos_sin_cache, bool is_neox,
                                const Tensor& slot_mapping, const Tensor& kv_cache,
                                const StringArg& kv_cache_dtype, const Tensor& kv_cache_scale);

void ConcatMlaQ(const Tensor& ql_nope, const Tensor& q_pe, const Tensor& q_out);

void IndexerKQuantAndCache(const Tensor& k, const Tensor& kv_cache, const Tensor& slot_mapping,
                           int64_t quant_block_size, const StringArg& kv_cache_dtype);

void SwapBlocks(const Tensor& src, const Tensor& dst, int64_t block_size_in_bytes,
                const Tensor& block_mapping);

void CpGatherCache(const Tensor& src_cache, const Tensor& dst, const Tensor& block_table,
                   const Tensor& cu_seq_lens, int64_t batch_size,
                   const std::optional<Tensor>& seq_starts);

void GatherAndMaybeDequantCache(const Tensor& src_cache, const Tensor& dst,
                                const Tensor& block_table, const Tensor& cu_seq_lens,
                                const Tensor& token_to_seq, int64_t num_tokens,
                                const StringArg& kv_cache_dtype, const Tensor& scale,
                                const std::optional<Tensor>& seq_starts);

void CpGatherAndUpconvertFp8KvCache(const Tensor& src_cache, const Tensor& dst,
                                    const Tensor& block_table, const Tensor& seq_lens,
                                    const Tensor& workspace_starts, int64_t batch_size);

void CpGatherIndexerKQuantCache(const Tensor& kv_cache, const Tensor& dst_k,
                                const Tensor& dst_scale, const Tensor& block_table,
                                const Tensor& cu_seq_lens);

void MergeAttnStates(const Tensor& output, const std::optional<Tensor>& output_lse,
                     const Tensor& prefix_output, const Tensor& prefix_lse,
                     const Tensor& suffix_output, const Tensor& suffix_lse,
                     std::optional<int64_t> prefill_tokens_with_context,
                     const std::optional<Tensor>& output_scale);

void SwapBlocksBatch(const Tensor& src_ptrs, const Tensor& dst_ptrs, const Tensor& sizes,
                     bool is_src_access_order_any);

void ConvertFp8(const Tensor& dst_cache, const Tensor& src_cache, double scale,
                const StringArg& kv_cache_dtype);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_LIBTORCH_STABLE_OPS_H_
