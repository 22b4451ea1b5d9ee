"""The table: every operator of the library, with what it takes and what it refuses."""

from __future__ import annotations

import dataclasses

import stablekv
import torch
from stablekv import layouts

from tests.support import attention, cache
from tests.support.changes import alias, assign, put, view_of, wrong_kv_cache_dtypes
from tests.support.contract import (
    CACHE,
    ELEMENT,
    Arguments,
    Change,
    Operator,
    Refusal,
    Row,
    Variant,
)
from tests.support.convert import CONVERT_FP8
from tests.support.flash_operators import FLASH_OPERATORS
from tests.support.gather_operators import GATHER_OPERATORS
from tests.support.merge_operators import MERGE_ATTN_STATES
from tests.support.mla_operators import MLA_OPERATORS
from tests.support.swap_batch_operators import SWAP_BLOCKS_BATCH
from tests.support.swap_operators import SWAP_OPERATORS

# ---- paged attention

_ATTENTION_CASE = attention.AttentionCase(
    seq_lens=(30, 45),
    num_heads=6,
    alibi=True,
    k_scale=0.5,
    v_scale=0.25,
    max_seq_len=600,  # two partitions
    spare_columns=0,
)

_ATTENTION_ROWS = (
    Row("out", "num_seqs num_heads head_size", ELEMENT, gaps=2, written=True),
    Row("query", "num_seqs num_heads head_size", ELEMENT, gaps=2),
    Row("key_cache", "num_blocks num_kv_heads head_size/x block_size x", CACHE, gaps=2),
    Row("value_cache", "num_blocks num_kv_heads head_size block_size", CACHE, gaps=2),
    Row("block_tables", "num_seqs max_blocks_per_seq+", torch.int32, gaps=1),
    Row("seq_lens", "num_seqs", torch.int32),
    Row("alibi_slopes", "num_heads", torch.float32),
    Row("k_scale", "", torch.float32),
    Row("v_scale", "", torch.float32),
)

_SCRATCH_ROWS = (
    Row("exp_sums", "", torch.float32, written=True, or_more=True),
    Row("max_logits", "", torch.float32, written=True, or_more=True),
    Row("tmp_out", "", ELEMENT, written=True, or_more=True),
)


def _attention_case(variant: Variant) -> attention.AttentionCase:
    return dataclasses.replace(
        _ATTENTION_CASE, dtype=variant.dtype, kv_cache_dtype=variant.kv_cache_dtype
    )


def _build_v1(variant: Variant, device: str) -> Arguments:
    return attention.arguments_of(_attention_case(variant), device)


def _build_v2(variant: Variant, device: str) -> Arguments:
    return attention.with_scratch(_build_v1(variant, device))


def _build_empty_v1(device: str) -> Arguments:
    return attention.arguments_of(attention.AttentionCase(seq_lens=(), max_seq_len=1), device)


def _head_size(size: int) -> Change:
    def change(arguments: Arguments) -> None:
        case = dataclasses.replace(_ATTENTION_CASE, head_size=size)
        arguments.update(attention.arguments_of(case, arguments["query"].device.type))

    return change


def _head_size_without_chunks(arguments: Arguments) -> None:
    """120 elements make 7.5 chunks of fp8 keys."""
    for name in ("query", "out"):
        arguments[name] = arguments[name].new_zeros(2, 6, 120)
    for name in ("key_cache", "value_cache"):
        arguments[name] = torch.zeros_like(arguments[name], dtype=torch.uint8)
    arguments["kv_cache_dtype"] = "fp8"


def _block_sparse(argument: str, **wrong: int) -> Refusal:
    values = {f"blocksparse_{n}" if n != "tp_rank" else n: v for n, v in wrong.items()}
    label = "-".join(f"{n}-{v}" for n, v in wrong.items())
    return Refusal(label, (argument,), assign(blocksparse_vert_stride=2, **values))


_ATTENTION_REFUSALS = (
    *(Refusal(f"head_size-{n}", ("query",), _head_size(n)) for n in (16, 48, 320)),
    Refusal("head_size-120-in-fp8", ("query",), _head_size_without_chunks),
    *(Refusal(f"block_size-{n}", ("block_size",), assign(block_size=n)) for n in (-16, 0, 12, 64)),
    Refusal("block_size-not-the-cache's", ("key_cache",), assign(block_size=32, max_seq_len=600)),
    *(Refusal(f"num_kv_heads-{n}", ("num_kv_heads",), assign(num_kv_heads=n)) for n in (-2, 0, 4)),
    Refusal("num_kv_heads-not-the-cache's", ("key_cache",), assign(num_kv_heads=3)),
    *(Refusal(f"max_seq_len-{n}", ("max_seq_len",), assign(max_seq_len=n)) for n in (-1, 2**31)),
    Refusal("block_tables-too-short", ("block_tables",), assign(max_seq_len=609)),
    Refusal("out-is-query", ("out",), alias("out", "query")),
    _block_sparse("blocksparse_block_size", block_size=0),
    _block_sparse("blocksparse_block_size", block_size=-64),
    _block_sparse("blocksparse_local_blocks", local_blocks=-1),
    _block_sparse("tp_rank", tp_rank=-1),
    _block_sparse("blocksparse_head_sliding_step", head_sliding_step=2**62),
    _block_sparse("blocksparse_head_sliding_step", head_sliding_step=-(2**63)),
    Refusal("max_seq_len-too-small", ("seq_lens",), assign(max_seq_len=44), only_cpu=True),
    Refusal("seq_lens-negative", ("seq_lens",), put("seq_lens", (0,), -1), only_cpu=True),
    Refusal("seq_lens-too-large", ("seq_lens",), put("seq_lens", (0,), 601), only_cpu=True),
    *(
        Refusal(f"block-{n}", ("block_tables",), put("block_tables", (1, 2), n), only_cpu=True)
        for n in (-1, 8, 2**31 - 1)
    ),
    *wrong_kv_cache_dtypes("query", "key_cache"),
)

_SCRATCH_REFUSALS = (
    Refusal("exp_sums-is-max_logits", ("exp_sums",), alias("max_logits", "exp_sums")),
    Refusal("tmp_out-is-exp_sums", ("tmp_out",), alias("exp_sums", "tmp_out")),
)

PAGED_ATTENTION_V1 = Operator(
    name="paged_attention_v1",
    namespace="_C",
    rows=_ATTENTION_ROWS,
    build=_build_v1,
    call=stablekv.paged_attention_v1,
    check=lambda arguments: attention.check("v1", arguments),
    build_empty=_build_empty_v1,
    refusals=_ATTENTION_REFUSALS,
)

PAGED_ATTENTION_V2 = Operator(
    name="paged_attention_v2",
    namespace="_C",
    rows=(*_ATTENTION_ROWS, *_SCRATCH_ROWS),
    build=_build_v2,
    call=stablekv.paged_attention_v2,
    check=lambda arguments: attention.check("v2", arguments),
    build_empty=lambda device: attention.with_scratch(_build_empty_v1(device)),
    refusals=(*_ATTENTION_REFUSALS, *_SCRATCH_REFUSALS),
)

# ---- reshape_and_cache

_CACHE_CASE = cache.CacheCase(spare_tokens=0)

_CACHE_ROWS = (
    Row("key", "num_tokens+ num_heads head_size", ELEMENT, gaps=2),
    Row("value", "num_tokens+ num_heads head_size", ELEMENT, gaps=2),
    Row("key_cache", "num_blocks num_heads head_size/x block_size x", CACHE, gaps=2, written=True),
    Row("value_cache", "num_blocks num_heads head_size block_size", CACHE, gaps=2, written=True),
    Row("slot_mapping", "num_tokens?", torch.int64),
    Row("k_scale", "", torch.float32),
    Row("v_scale", "", torch.float32),
)


def _build_cache(variant: Variant, device: str) -> Arguments:
    case = dataclasses.replace(
        _CACHE_CASE, dtype=variant.dtype, kv_cache_dtype=variant.kv_cache_dtype
    )
    return cache.arguments_of(case, device)


_SLOTS = _CACHE_CASE.num_blocks * _CACHE_CASE.block_size

RESHAPE_AND_CACHE = Operator(
    name="reshape_and_cache",
    namespace="_C_cache_ops",
    rows=_CACHE_ROWS,
    build=_build_cache,
    call=stablekv.reshape_and_cache,
    check=cache.check,
    build_empty=lambda device: cache.arguments_of(cache.CacheCase(slots=()), device),
    refusals=(
        *(
            Refusal(f"slot-{n}", ("slot_mapping",), put("slot_mapping", (4,), n), only_cpu=True)
            for n in (_SLOTS, _SLOTS + 1, 2**40, 2**63 - 1)
        ),
        Refusal("value_cache-is-key_cache", ("key_cache",), view_of("value_cache", "key_cache")),
        Refusal("key-in-key_cache", ("key_cache",), view_of("key", "key_cache")),
        Refusal("value-in-value_cache", ("value_cache",), view_of("value", "value_cache")),
        *wrong_kv_cache_dtypes("key", "key_cache"),
    ),
)

OPERATORS = (
    PAGED_ATTENTION_V1,
    PAGED_ATTENTION_V2,
    RESHAPE_AND_CACHE,
    *FLASH_OPERATORS,
    *MLA_OPERATORS,
    *SWAP_OPERATORS,
    SWAP_BLOCKS_BATCH,
    CONVERT_FP8,
    *GATHER_OPERATORS,
    MERGE_ATTN_STATES,
)
assert layouts.BLOCK_SIZES == (8, 16, 32)  # what the refused ones above are chosen against
