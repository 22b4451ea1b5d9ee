"""Names of the operators, in one place because the namespaces are a build setting."""

from __future__ import annotations

from stablekv import _library_file

ATTENTION_NAMESPACE, CACHE_NAMESPACE = _library_file.namespaces()

# What the library defines, by namespace.
OPERATORS: dict[str, tuple[str, ...]] = {
    ATTENTION_NAMESPACE: ("merge_attn_states", "paged_attention_v1", "paged_attention_v2"),
    CACHE_NAMESPACE: (
        "concat_and_cache_mla",
        "concat_and_cache_mla_rope_fused",
        "concat_mla_q",
        "convert_fp8",
        "cp_gather_and_upconvert_fp8_kv_cache",
        "cp_gather_cache",
        "cp_gather_indexer_k_quant_cache",
        "gather_and_maybe_dequant_cache",
        "indexer_k_quant_and_cache",
        "reshape_and_cache",
        "reshape_and_cache_flash",
        "swap_blocks",
        "swap_blocks_batch",
    ),
}

# Operators with an overload `traceable`, which stands for them in traces: their schema marks an int
# as written, as callers know it, and torch cannot functionalize that.
TRACED_BY_OVERLOAD: dict[str, tuple[str, ...]] = {ATTENTION_NAMESPACE: ("merge_attn_states",)}


def qualified_names() -> tuple[str, ...]:
    """Every operator as `namespace::name`."""
    return tuple(f"{space}::{name}" for space, names in OPERATORS.items() for name in names)
