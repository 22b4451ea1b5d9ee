"""Drawn calls of every operator: dtypes, sizes, slots, lengths, scales. memory.py places them.

A function for each row of the table of operators draws its arguments, on a device.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from hypothesis import strategies as st
from stablekv import layouts
from stablekv.attention import DENSE, BlockSparse

from tests.support import (
    attention,
    cache,
    convert,
    flash,
    flash_operators,
    gather,
    gather_operators,
    merge,
    merge_operators,
    mla,
    mla_operators,
    nvfp4,
    operators,
    swap,
    swap_batch,
    swap_batch_operators,
    swap_operators,
)
from tests.support.contract import VARIANTS, Operator

Call = dict[str, Any]

_VARIANTS = st.sampled_from(VARIANTS)
_HALVES = st.sampled_from((torch.float16, torch.bfloat16))
_SCALES = st.floats(2.0**-10, 2.0**6, width=32)
_COPIED = st.integers(0, 40) | st.integers(0, 990)
_SEEDS = st.integers(0, 2**31)


def _slots(draw: st.DrawFn, num_slots: int) -> tuple[int, ...]:
    """Distinct slots in any order, with padding among them."""
    every = st.lists(st.integers(0, max(num_slots - 1, 0)), unique=True, max_size=6)
    slots = draw(every) if num_slots else []
    return tuple(draw(st.permutations(slots + [-1] * draw(st.integers(0, 2)))))


def _pages(draw: st.DrawFn) -> Call:
    """num_blocks, block_size, slots, and tokens past the last of them."""
    num_blocks, block_size = draw(st.integers(0, 3)), draw(st.integers(1, 17))
    return {
        "num_blocks": num_blocks,
        "block_size": block_size,
        "slots": _slots(draw, num_blocks * block_size),
        "spare_tokens": draw(st.integers(0, 2)),
    }


def _dtypes(draw: st.DrawFn) -> Call:
    variant = draw(_VARIANTS)
    return {"dtype": variant.dtype, "kv_cache_dtype": variant.kv_cache_dtype}


def _reshape_and_cache(draw: st.DrawFn, device: str) -> Call:
    dtypes = _dtypes(draw)
    stored = layouts.storage_dtype(dtypes["kv_cache_dtype"], dtypes["dtype"])
    case = cache.CacheCase(
        **dtypes,
        **_pages(draw),
        num_heads=draw(st.integers(1, 3)),
        head_size=draw(st.integers(1, 5)) * layouts.elements_per_chunk(stored),
        k_scale=draw(_SCALES),
        v_scale=draw(_SCALES),
    )
    return cache.arguments_of(case, device, draw(_SEEDS))


def _flash_case(draw: st.DrawFn, **more: Any) -> flash.FlashCase:
    drawn = {
        "num_heads": draw(st.integers(1, 3)),
        "head_size": draw(st.integers(1, 40)),
        "k_scale": draw(_SCALES),
        "v_scale": draw(_SCALES),
    }
    return flash.FlashCase(**{**_dtypes(draw), **_pages(draw), **drawn, **more})


def _reshape_and_cache_flash(draw: st.DrawFn, device: str) -> Call:
    return flash.arguments_of(_flash_case(draw), device)


def _reshape_and_cache_flash_by_head(draw: st.DrawFn, device: str) -> Call:
    return flash.arguments_of(_flash_case(draw, scale_per_head=True), device)


def _reshape_and_cache_nvfp4(draw: st.DrawFn, device: str) -> Call:
    num_blocks, block_size = draw(st.integers(0, 3)), 4 * draw(st.integers(1, 5))
    case = _flash_case(
        draw,
        dtype=draw(_HALVES),
        kv_cache_dtype="auto",  # until arguments_of names nvfp4
        num_blocks=num_blocks,
        block_size=block_size,
        slots=_slots(draw, num_blocks * block_size),
        head_size=64 * draw(st.integers(1, 3)),
        layout=draw(st.sampled_from(("NHD", "HND"))),
    )
    return nvfp4.arguments_of(case, device)


def _mla_case(draw: st.DrawFn, **more: Any) -> mla.MlaCase:
    sizes = {
        "num_heads": draw(st.integers(0, 3)),
        "kv_lora_rank": draw(st.integers(1, 70)),
        "pe_dim": 2 * draw(st.integers(1, 17)),
        "scale": draw(_SCALES),
    }
    return mla.MlaCase(**{**_dtypes(draw), **_pages(draw), **sizes, **more})


def _concat_and_cache_mla(draw: st.DrawFn, device: str) -> Call:
    return mla.writer_arguments(_mla_case(draw), device)


def _concat_and_cache_ds_mla(draw: st.DrawFn, device: str) -> Call:
    sizes = {"kv_lora_rank": 512, "pe_dim": 64}
    case = _mla_case(draw, dtype=draw(_HALVES), kv_cache_dtype=mla.DS_MLA, **sizes)
    return mla.writer_arguments(case, device)


def _concat_and_cache_mla_rope_fused(draw: st.DrawFn, device: str) -> Call:
    return mla.fused_arguments(_mla_case(draw, is_neox=draw(st.booleans())), device)


def _concat_mla_q(draw: st.DrawFn, device: str) -> Call:
    sizes = {"kv_lora_rank": 512 * draw(st.integers(1, 2)), "pe_dim": 64}
    return mla.concat_arguments(_mla_case(draw, dtype=draw(_HALVES), **sizes), device)


def _indexer_k_quant_and_cache(draw: st.DrawFn, device: str) -> Call:
    group = draw(st.integers(1, 40))
    case = _mla_case(
        draw,
        dtype=draw(_HALVES),
        kv_cache_dtype=draw(st.sampled_from(("ue8m0", ""))),
        quant_block_size=group,
        kv_lora_rank=group * draw(st.integers(1, 3)),
    )
    return mla.indexer_arguments(case, device)


def _gather_case(draw: st.DrawFn, starts: bool, **more: Any) -> gather.GatherCase:
    rows = draw(st.lists(st.integers(0, 20), max_size=3))
    first = st.lists(st.integers(0, 30), min_size=len(rows), max_size=len(rows)).map(tuple)
    sizes = {
        "rows": tuple(rows),
        "seq_starts": draw(st.none() | first) if starts else None,
        "block_size": draw(st.integers(1, 17)),
        "entry_size": draw(st.integers(1, 40)),
        "scale": draw(_SCALES),
        "first_row": draw(st.integers(0, 2)),
        "spare_rows": draw(st.integers(0, 3)),
        "spare_columns": draw(st.integers(0, 2)),
    }
    return gather.GatherCase(**{**_dtypes(draw), **sizes, **more})


def _cp_gather_cache(draw: st.DrawFn, device: str) -> Call:
    return gather.plain_arguments(_gather_case(draw, starts=True), device)


def _gather_and_maybe_dequant_cache(draw: st.DrawFn, device: str) -> Call:
    return gather.dequant_arguments(_gather_case(draw, starts=True), device)


def _cp_gather_and_upconvert_fp8_kv_cache(draw: st.DrawFn, device: str) -> Call:
    torch.manual_seed(0)  # of the scales
    return gather.upconvert_arguments(_gather_case(draw, starts=False, spare_rows=0), device)


def _cp_gather_indexer_k_quant_cache(draw: st.DrawFn, device: str) -> Call:
    num_scales = draw(st.integers(1, 3))
    entry_size = num_scales * draw(st.integers(1, 20))
    case = _gather_case(draw, starts=False, entry_size=entry_size)
    return gather.indexer_arguments(case, device, num_scales)


def _merge_attn_states(draw: st.DrawFn, device: str) -> Call:
    num_tokens = draw(st.integers(0, 6))
    case = merge.MergeCase(
        num_tokens=num_tokens,
        num_heads=draw(st.integers(0, 3)),
        head_size=draw(st.integers(1, 40)),
        dtype=draw(st.sampled_from(layouts.ELEMENT_DTYPES)),
        prefix_tokens=draw(st.none() | st.integers(0, num_tokens)),
        with_lse=draw(st.booleans()),
        output_scale=draw(st.none() | st.floats(2.0**-6, 4.0, width=32)),
    )
    return merge.arguments_of(case, device, draw(_SEEDS))


def _paged_attention_v1(draw: st.DrawFn, device: str) -> Call:
    dtypes = _dtypes(draw)
    fp8 = layouts.is_fp8(dtypes["kv_cache_dtype"])
    lengths = st.integers(0, 40) | st.sampled_from((1, 511, 512, 513))
    seq_lens = tuple(draw(st.lists(lengths, max_size=3)))
    num_kv_heads = draw(st.integers(1, 2))
    sparse = st.builds(
        BlockSparse,
        tp_rank=st.integers(0, 2),
        local_blocks=st.integers(0, 3),
        vert_stride=st.integers(2, 4),
        block_size=st.sampled_from((32, 64)),
        head_sliding_step=st.integers(-2, 2),
    )
    case = attention.AttentionCase(
        **dtypes,
        seq_lens=seq_lens,
        num_kv_heads=num_kv_heads,
        num_heads=num_kv_heads * draw(st.integers(1, 3)),
        head_size=draw(st.sampled_from((32, 64, 80) if fp8 else (32, 64, 80, 120))),
        block_size=draw(st.sampled_from(layouts.BLOCK_SIZES)),
        k_scale=draw(st.floats(2.0**-4, 2.0, width=32)) if fp8 else 1.0,
        v_scale=draw(st.floats(2.0**-4, 2.0, width=32)) if fp8 else 1.0,
        alibi=draw(st.booleans()),
        block_sparse=draw(st.just(DENSE) | sparse),
        max_seq_len=max(seq_lens, default=0) + draw(st.sampled_from((0, 1, 600))),
        spare_columns=draw(st.integers(0, 2)),
    )
    return attention.arguments_of(case, device, draw(_SEEDS))


def _paged_attention_v2(draw: st.DrawFn, device: str) -> Call:
    return attention.with_scratch(_paged_attention_v1(draw, device))


def _swap_blocks(draw: st.DrawFn, device: str) -> Call:
    counts = draw(st.integers(0, 5)), draw(st.integers(0, 5))
    pairs = st.tuples(*(st.integers(0, max(n - 1, 0)) for n in counts))
    case = swap.SwapCase(
        mapping=tuple(draw(st.lists(pairs, max_size=5))) if all(counts) else (),
        src_blocks=counts[0],
        dst_blocks=counts[1],
        block_bytes=draw(st.integers(1, 70)),
    )
    src, dst = (draw(st.sampled_from(("cpu", device))) for _ in counts)
    call = swap.arguments_of(case, src, dst, draw(_SEEDS))
    return {n: v.t() if n in ("src", "dst") and draw(st.booleans()) else v for n, v in call.items()}


def _swap_blocks_batch(draw: st.DrawFn, device: str) -> Call:
    """No two copies write the same 1000 bytes of the destination."""
    places = draw(st.lists(st.integers(0, 999), unique=True, max_size=6))
    copies = [
        (draw(st.integers(0, 5000)), 1000 * place + draw(st.integers(0, 9)), draw(_COPIED))
        for place in places
    ]
    return swap_batch.arguments_of(copies, device, device)


def _convert_fp8(draw: st.DrawFn, device: str) -> Call:
    shape = tuple(draw(st.lists(st.sampled_from((0, 1, 2, 3, 7, 17)), min_size=1, max_size=3)))
    fp8 = draw(st.sampled_from(tuple(layouts.FP8_FORMATS)))
    dtype = draw(st.sampled_from(layouts.ELEMENT_DTYPES))
    to_fp8 = draw(st.booleans())
    call = (convert.to_fp8 if to_fp8 else convert.from_fp8)(dtype, fp8, device, shape)
    if draw(st.booleans()):
        codes = "dst_cache" if to_fp8 else "src_cache"
        call[codes] = call[codes].view(layouts.FP8_FORMATS[fp8])
    return {**call, "scale": draw(_SCALES)}


# The operators of the table, and the functions that draw calls of them.
_DRAWN: tuple[tuple[Operator, Callable[[st.DrawFn, str], Call]], ...] = (
    (operators.PAGED_ATTENTION_V1, _paged_attention_v1),
    (operators.PAGED_ATTENTION_V2, _paged_attention_v2),
    (operators.RESHAPE_AND_CACHE, _reshape_and_cache),
    (flash_operators.RESHAPE_AND_CACHE_FLASH, _reshape_and_cache_flash),
    (flash_operators.RESHAPE_AND_CACHE_FLASH_BY_HEAD, _reshape_and_cache_flash_by_head),
    (flash_operators.RESHAPE_AND_CACHE_NVFP4, _reshape_and_cache_nvfp4),
    (mla_operators.CONCAT_AND_CACHE_MLA, _concat_and_cache_mla),
    (mla_operators.CONCAT_AND_CACHE_DS_MLA, _concat_and_cache_ds_mla),
    (mla_operators.CONCAT_AND_CACHE_MLA_ROPE_FUSED, _concat_and_cache_mla_rope_fused),
    (mla_operators.CONCAT_MLA_Q, _concat_mla_q),
    (mla_operators.INDEXER_K_QUANT_AND_CACHE, _indexer_k_quant_and_cache),
    (swap_operators.SWAP_BLOCKS, _swap_blocks),
    (swap_batch_operators.SWAP_BLOCKS_BATCH, _swap_blocks_batch),
    (convert.CONVERT_FP8, _convert_fp8),
    (gather_operators.CP_GATHER_CACHE, _cp_gather_cache),
    (gather_operators.GATHER_AND_MAYBE_DEQUANT_CACHE, _gather_and_maybe_dequant_cache),
    (gather_operators.CP_GATHER_AND_UPCONVERT_FP8_KV_CACHE, _cp_gather_and_upconvert_fp8_kv_cache),
    (gather_operators.CP_GATHER_INDEXER_K_QUANT_CACHE, _cp_gather_indexer_k_quant_cache),
    (merge_operators.MERGE_ATTN_STATES, _merge_attn_states),
)
CALLS = {call.__name__.removeprefix("_"): (operator, call) for operator, call in _DRAWN}
