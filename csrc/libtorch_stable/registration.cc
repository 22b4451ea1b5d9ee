// The operators' names and schemas, and which function serves which backend.
#include "csrc/libtorch_stable/library.h"
#include "csrc/libtorch_stable/ops.h"

// The namespaces are from //csrc:namespaces: torch refuses a second library with the same
// operators, so a build that is to live beside one takes other names. Fragments: the unstable
// extension and strangers may add operators of other names.
STABLEKV_LIBRARY_FRAGMENT(STABLEKV_NAMESPACE, library) {
  library.def(
      "paged_attention_v1("
      "Tensor! out, Tensor query, Tensor key_cache, Tensor value_cache, int num_kv_heads, "
      "float scale, Tensor block_tables, Tensor seq_lens, int block_size, int max_seq_len, "
      "Tensor? alibi_slopes, str kv_cache_dtype, Tensor k_scale, Tensor v_scale, int tp_rank, "
      "int blocksparse_local_blocks, int blocksparse_vert_stride, int blocksparse_block_size, "
      "int blocksparse_head_sliding_step) -> ()");
  library.def(
      "paged_attention_v2("
      "Tensor! out, Tensor! exp_sums, Tensor! max_logits, Tensor! tmp_out, Tensor query, "
      "Tensor key_cache, Tensor value_cache, int num_kv_heads, float scale, Tensor block_tables, "
      "Tensor seq_lens, int block_size, int max_seq_len, Tensor? alibi_slopes, "
      "str kv_cache_dtype, Tensor k_scale, Tensor v_scale, int tp_rank, "
      "int blocksparse_local_blocks, int blocksparse_vert_stride, int blocksparse_block_size, "
      "int blocksparse_head_sliding_step) -> ()");
  library.def(
      "merge_attn_states("
      "Tensor! output, Tensor!? output_lse, Tensor prefix_output, Tensor prefix_lse, "
      "Tensor suffix_output, Tensor suffix_lse, int!? prefill_tokens_with_context, "
      "Tensor? output_scale=None) -> ()");
  // What traces hold: torch does not functionalize a schema that marks an int as written.
  library.def(
      "merge_attn_states.traceable("
      "Tensor! output, Tensor!? output_lse, Tensor prefix_output, Tensor prefix_lse, "
      "Tensor suffix_output, Tensor suffix_lse, int? prefill_tokens_with_context, "
      "Tensor? output_scale=None) -> ()");
}

STABLEKV_LIBRARY_FRAGMENT(STABLEKV_CACHE_NAMESPACE, library) {
  library.def(
      "reshape_and_cache("
      "Tensor key, Tensor value, Tensor! key_cache, Tensor! value_cache, Tensor slot_mapping, "
      "str kv_cache_dtype, Tensor k_scale, Tensor v_scale) -> ()");
  library.def(
      "reshape_and_cache_flash("
      "Tensor key, Tensor value, Tensor! key_cache, Tensor! value_cache, Tensor slot_mapping, "
      "str kv_cache_dtype, Tensor k_scale, Tensor v_scale) -> ()");
  library.def(
      "concat_and_cache_mla("
      "Tensor kv_c, Tensor k_pe, Tensor! kv_cache, Tensor slot_mapping, str kv_cache_dtype, "
      "Tensor scale) -> ()");
  library.def(
      "concat_and_cache_mla_rope_fused("
      "Tensor positions, Tensor! q_pe, Tensor! k_pe, Tensor kv_c, Tensor cos_sin_cache, "
      "bool is_neox, Tensor slot_mapping, Tensor! kv_cache, str kv_cache_dtype, "
      "Tensor kv_cache_scale) -> ()");
  library.def("concat_mla_q(Tensor ql_nope, Tensor q_pe, Tensor! q_out) -> ()");
  library.def(
      "indexer_k_quant_and_cache("
      "Tensor k, Tensor! kv_cache, Tensor slot_mapping, int quant_block_size, "
      "str kv_cache_dtype) -> ()");
  library.def(
      "swap_blocks("
      "Tensor src, Tensor! dst, int block_size_in_bytes, Tensor block_mapping) -> ()");
  library.def(
      "cp_gather_cache("
      "Tensor src_cache, Tensor! dst, Tensor block_table, Tensor cu_seq_lens, int batch_size, "
      "Tensor? seq_starts) -> ()");
  library.def(
      "gather_and_maybe_dequant_cache("
      "Tensor src_cache, Tensor! dst, Tensor block_table, Tensor cu_seq_lens, "
      "Tensor token_to_seq, int num_tokens, str kv_cache_dtype, Tensor scale, "
      "Tensor? seq_starts) -> ()");
  library.def(
      "cp_gather_and_upconvert_fp8_kv_cache("
      "Tensor src_cache, Tensor! dst, Tensor block_table, Tensor seq_lens, "
      "Tensor workspace_starts, int batch_size) -> ()");
  library.def(
      "cp_gather_indexer_k_quant_cache("
      "Tensor kv_cache, Tensor! dst_k, Tensor! dst_scale, Tensor block_table, "
      "Tensor cu_seq_lens) -> ()");
  library.def(
      "swap_blocks_batch("
      "Tensor src_ptrs, Tensor dst_ptrs, Tensor sizes, "
      "bool is_src_access_order_any=False) -> ()");
  library.def(
      "convert_fp8("
      "Tensor! dst_cache, Tensor src_cache, float scale, str kv_cache_dtype) -> ()");
}

namespace {

void ImplementAttention(stablekv::Library& library) {
  library.impl("paged_attention_v1", STABLEKV_KERNEL(&stablekv::PagedAttentionV1));
  library.impl("paged_attention_v2", STABLEKV_KERNEL(&stablekv::PagedAttentionV2));
  library.impl("merge_attn_states", STABLEKV_KERNEL(&stablekv::MergeAttnStates));
  library.impl("merge_attn_states.traceable", STABLEKV_KERNEL(&stablekv::MergeAttnStates));
}

void ImplementCache(stablekv::Library& library) {
  library.impl("reshape_and_cache", STABLEKV_KERNEL(&stablekv::ReshapeAndCache));
  library.impl("reshape_and_cache_flash", STABLEKV_KERNEL(&stablekv::ReshapeAndCacheFlash));
  library.impl("concat_and_cache_mla", STABLEKV_KERNEL(&stablekv::ConcatAndCacheMla));
  library.impl("concat_and_cache_mla_rope_fused",
               STABLEKV_KERNEL(&stablekv::ConcatAndCacheMlaRopeFused));
  library.impl("concat_mla_q", STABLEKV_KERNEL(&stablekv::ConcatMlaQ));
  library.impl("indexer_k_quant_and_cache", STABLEKV_KERNEL(&stablekv::IndexerKQuantAndCache));
  library.impl("swap_blocks", STABLEKV_KERNEL(&stablekv::SwapBlocks));
  library.impl("cp_gather_cache", STABLEKV_KERNEL(&stablekv::CpGatherCache));
  library.impl("gather_and_maybe_dequant_cache",
               STABLEKV_KERNEL(&stablekv::GatherAndMaybeDequantCache));
  library.impl("cp_gather_and_upconvert_fp8_kv_cache",
               STABLEKV_KERNEL(&stablekv::CpGatherAndUpconvertFp8KvCache));
  library.impl("cp_gather_indexer_k_quant_cache",
               STABLEKV_KERNEL(&stablekv::CpGatherIndexerKQuantCache));
  library.impl("swap_blocks_batch", STABLEKV_KERNEL(&stablekv::SwapBlocksBatch));
  library.impl("convert_fp8", STABLEKV_KERNEL(&stablekv::ConvertFp8));
}

}  // namespace

STABLEKV_LIBRARY_IMPL(STABLEKV_NAMESPACE, CPU, library) { ImplementAttention(library); }
STABLEKV_LIBRARY_IMPL(STABLEKV_CACHE_NAMESPACE, CPU, library) { ImplementCache(library); }

#ifdef STABLEKV_WITH_CUDA
STABLEKV_LIBRARY_IMPL(STABLEKV_NAMESPACE, CUDA, library) { ImplementAttention(library); }
STABLEKV_LIBRARY_IMPL(STABLEKV_CACHE_NAMESPACE, CUDA, library) { ImplementCache(library); }
#endif
