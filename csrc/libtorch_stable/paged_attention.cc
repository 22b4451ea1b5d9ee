#include "csrc/ops/paged_attention.h"

#include "csrc/kernels/attention/paged_attention_check_cpu.h"
#include "csrc/libtorch_stable/checked_mode.h"
#include "csrc/libtorch_stable/device_scratch.h"
#include "csrc/libtorch_stable/launch.h"
#include "csrc/libtorch_stable/ops.h"
#include "csrc/libtorch_stable/tensor_arg.h"

namespace stablekv {

namespace {

// The arguments that both versions have, in the order of the schemas.
PagedAttentionArgs CommonArgs(
    const Tensor& out, const Tensor& query, const Tensor& key_cache, const Tensor& value_cache,
    int64_t num_kv_heads, double scale, const Tensor& block_tables, const Tensor& seq_lens,
    int64_t block_size, int64_t max_seq_len, const std::optional<Tensor>& alibi_slopes,
    const StringArg& kv_cache_dtype, const Tensor& k_scale, const Tensor& v_scale, int64_t tp_rank,
    int64_t blocksparse_local_blocks, int64_t blocksparse_vert_stride,
    int64_t blocksparse_block_size, int64_t blocksparse_head_sliding_step) {
  return {
      OutputArg("out", out),
      InputArg("query", query),
      InputArg("key_cache", key_cache),
      InputArg("value_cache", value_cache),
      num_kv_heads,
      scale,
      InputArg("block_tables", block_tables),
      InputArg("seq_lens", seq_lens),
      block_size,
      max_seq_len,
      OptionalInputArg("alibi_slopes", alibi_slopes),
      kv_cache_dtype,
      InputArg("k_scale", k_scale),
      InputArg("v_scale", v_scale),
      tp_rank,
      blocksparse_local_blocks,
      blocksparse_vert_stride,
      blocksparse_block_size,
      blocksparse_head_sliding_step,
  };
}

// In checked mode, checks what seq_lens and block_tables hold.
template <typename Stream>
Status CheckTables(const PagedAttentionParams& params, Stream stream) {
  return InCheckedMode(stream, [&](HostCopies& host) {
    PagedAttentionParams copy = params;
    STABLEKV_RETURN_IF_ERROR(host.Fetch(&copy.seq_lens, copy.num_seqs));
    STABLEKV_RETURN_IF_ERROR(host.Fetch(
        &copy.block_tables,
        TableElements(copy.num_seqs, copy.max_blocks_per_seq, copy.block_tables_stride)));
    return CheckPagedAttention(copy);
  });
}

}  // namespace

void PagedAttentionV1(const Tensor& out, const Tensor& query, const Tensor& key_cache,
                      const Tensor& value_cache, int64_t num_kv_heads, double scale,
                      const Tensor& block_tables, const Tensor& seq_lens, int64_t block_size,
                      int64_t max_seq_len, const std::optional<Tensor>& alibi_slopes,
                      const StringArg& kv_cache_dtype, const Tensor& k_scale, const Tensor& v_scale,
                      int64_t tp_rank, int64_t blocksparse_local_blocks,
                      int64_t blocksparse_vert_stride, int64_t blocksparse_block_size,
                      int64_t blocksparse_head_sliding_step) {
  const PagedAttentionArgs args =
      CommonArgs(out, query, key_cache, value_cache, num_kv_heads, scale, block_tables, seq_lens,
                 block_size, max_seq_len, alibi_slopes, kv_cache_dtype, k_scale, v_scale, tp_rank,
                 blocksparse_local_blocks, blocksparse_vert_stride, blocksparse_block_size,
                 blocksparse_head_sliding_step);
  PagedAttentionParams params;
  ThrowIfError(PreparePagedAttentionV1(args, &params));
  if (params.num_seqs == 0) return;
  Launch(
      "paged_attention_v1", args.query.device,
      [&](ParallelFor parallel_for) { return PagedAttentionCpu(params, parallel_for); },
      [&](auto stream) {
        STABLEKV_RETURN_IF_ERROR(CheckTables(params, stream));
        DeviceScratch scratch(args.query.device.index);
        return PagedAttentionV1Cuda(params, scratch.memory(), stream);
      });
}

void PagedAttentionV2(const Tensor& out, const Tensor& exp_sums, const Tensor& max_logits,
                      const Tensor& tmp_out, const Tensor& query, const Tensor& key_cache,
                      const Tensor& value_cache, int64_t num_kv_heads, double scale,
                      const Tensor& block_tables, const Tensor& seq_lens, int64_t block_size,
                      int64_t max_seq_len, const std::optional<Tensor>& alibi_slopes,
                      const StringArg& kv_cache_dtype, const Tensor& k_scale, const Tensor& v_scale,
                      int64_t tp_rank, int64_t blocksparse_local_blocks,
                      int64_t blocksparse_vert_stride, int64_t blocksparse_block_size,
                      int64_t blocksparse_head_sliding_step) {
  const PagedAttentionArgs args =
      CommonArgs(out, query, key_cache, value_cache, num_kv_heads, scale, block_tables, seq_lens,
                 block_size, max_seq_len, alibi_slopes, kv_cache_dtype, k_scale, v_scale, tp_rank,
                 blocksparse_local_blocks, blocksparse_vert_stride, blocksparse_block_size,
                 blocksparse_head_sliding_step);
  const PagedAttentionScratchArgs scratch_args{
      OutputArg("exp_sums", exp_sums),
      OutputArg("max_logits", max_logits),
      OutputArg("tmp_out", tmp_out),
  };
  PagedAttentionParams params;
  PagedAttentionScratch scratch;
  ThrowIfError(PreparePagedAttentionV2(args, scratch_args, &params, &scratch));
  if (params.num_seqs == 0) return;
  Launch(
      "paged_attention_v2", args.query.device,
      [&](ParallelFor parallel_for) { return PagedAttentionCpu(params, parallel_for); },
      [&](auto stream) {
        STABLEKV_RETURN_IF_ERROR(CheckTables(params, stream));
        return PagedAttentionV2Cuda(params, scratch, stream);
      });
}

}  // namespace stablekv
