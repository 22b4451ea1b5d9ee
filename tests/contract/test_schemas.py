"""The schemas that callers rely on, to the letter: names, order, types, what is written."""

import pytest
import torch

from tests.support.operators import OPERATORS

SCHEMAS = (
    "paged_attention_v1("
    "Tensor! out, Tensor query, Tensor key_cache, Tensor value_cache, int num_kv_heads, "
    "float scale, Tensor block_tables, Tensor seq_lens, int block_size, int max_seq_len, "
    "Tensor? alibi_slopes, str kv_cache_dtype, Tensor k_scale, Tensor v_scale, int "
    "tp_rank, int blocksparse_local_blocks, int blocksparse_vert_stride, int "
    "blocksparse_block_size, int blocksparse_head_sliding_step"
    ") -> ()",
    "paged_attention_v2("
    "Tensor! out, Tensor! exp_sums, Tensor! max_logits, Tensor! tmp_out, Tensor query, "
    "Tensor key_cache, Tensor value_cache, int num_kv_heads, float scale, Tensor "
    "block_tables, Tensor seq_lens, int block_size, int max_seq_len, Tensor? "
    "alibi_slopes, str kv_cache_dtype, Tensor k_scale, Tensor v_scale, int tp_rank, int "
    "blocksparse_local_blocks, int blocksparse_vert_stride, int blocksparse_block_size, "
    "int blocksparse_head_sliding_step"
    ") -> ()",
    "merge_attn_states("
    "Tensor! output, Tensor!? output_lse, Tensor prefix_output, Tensor prefix_lse, Tensor "
    "suffix_output, Tensor suffix_lse, int!? prefill_tokens_with_context, Tensor? "
    "output_scale=None"
    ") -> ()",
    "reshape_and_cache("
    "Tensor key, Tensor value, Tensor! key_cache, Tensor! value_cache, Tensor "
    "slot_mapping, str kv_cache_dtype, Tensor k_scale, Tensor v_scale"
    ") -> ()",
    "reshape_and_cache_flash("
    "Tensor key, Tensor value, Tensor! key_cache, Tensor! value_cache, Tensor "
    "slot_mapping, str kv_cache_dtype, Tensor k_scale, Tensor v_scale"
    ") -> ()",
    "concat_and_cache_mla("
    "Tensor kv_c, Tensor k_pe, Tensor! kv_cache, Tensor slot_mapping, str kv_cache_dtype, "
    "Tensor scale"
    ") -> ()",
    "concat_and_cache_mla_rope_fused("
    "Tensor positions, Tensor! q_pe, Tensor! k_pe, Tensor kv_c, Tensor cos_sin_cache, "
    "bool is_neox, Tensor slot_mapping, Tensor! kv_cache, str kv_cache_dtype, Tensor "
    "kv_cache_scale"
    ") -> ()",
    "concat_mla_q(Tensor ql_nope, Tensor q_pe, Tensor! q_out) -> ()",
    "indexer_k_quant_and_cache("
    "Tensor k, Tensor! kv_cache, Tensor slot_mapping, int quant_block_size, str "
    "kv_cache_dtype"
    ") -> ()",
    "swap_blocks(Tensor src, Tensor! dst, int block_size_in_bytes, Tensor block_mapping) -> ()",
    "swap_blocks_batch("
    "Tensor src_ptrs, Tensor dst_ptrs, Tensor sizes, bool is_src_access_order_any=False"
    ") -> ()",
    "convert_fp8(Tensor! dst_cache, Tensor src_cache, float scale, str kv_cache_dtype) -> ()",
    "cp_gather_cache("
    "Tensor src_cache, Tensor! dst, Tensor block_table, Tensor cu_seq_lens, int "
    "batch_size, Tensor? seq_starts"
    ") -> ()",
    "gather_and_maybe_dequant_cache("
    "Tensor src_cache, Tensor! dst, Tensor block_table, Tensor cu_seq_lens, Tensor "
    "token_to_seq, int num_tokens, str kv_cache_dtype, Tensor scale, Tensor? seq_starts"
    ") -> ()",
    "cp_gather_and_upconvert_fp8_kv_cache("
    "Tensor src_cache, Tensor! dst, Tensor block_table, Tensor seq_lens, Tensor "
    "workspace_starts, int batch_size"
    ") -> ()",
    "cp_gather_indexer_k_quant_cache("
    "Tensor kv_cache, Tensor! dst_k, Tensor! dst_scale, Tensor block_table, Tensor "
    "cu_seq_lens"
    ") -> ()",
)
NAMESPACES = {operator.name: operator.namespace for operator in OPERATORS}


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.partition("(")[0])
def test_schema(schema):
    name = schema.partition("(")[0]
    namespace = NAMESPACES[name]
    registered = getattr(getattr(torch.ops, namespace), name).default._schema
    wanted = torch._C.parse_schema(f"{namespace}::{schema}")
    assert str(registered) == str(wanted)
    assert registered == wanted


def test_every_operator_has_one():
    assert {schema.partition("(")[0] for schema in SCHEMAS} == NAMESPACES.keys()
