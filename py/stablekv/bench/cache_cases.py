"""The operators that write, move and convert a cache, at the sizes of a prefill and of a step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

import stablekv
from stablekv import (
    layouts,
    reference,
    reference_convert,
    reference_flash,
    reference_gather,
    reference_merge,
    reference_mla,
    reference_swap,
)

_HEADS, _HEAD_SIZE, _BLOCK = 8, 128, 16
_LORA, _ROPE = 512, 64  # of MLA
_BF16 = torch.bfloat16

Arguments = dict[str, Any]


@dataclass(frozen=True)
class CacheCase:
    """One call: what makes its arguments on a device, and what it must do."""

    name: str
    operator: Callable[..., None]
    reference: Callable[..., None]
    build: Callable[[torch.device], Arguments]
    written: tuple[str, ...]
    bytes: int  # read and written at least
    only_cuda: bool = False
    graph: bool = True
    exact: bool = True  # the reference writes the same bytes


def _slots(tokens: int, order: str, device: torch.device) -> torch.Tensor:
    """Whole pages in any order, or any slots."""
    if order == "random":
        return torch.randperm(2 * tokens, device=device)[:tokens]
    blocks = torch.randperm(_num_blocks(tokens), device=device)[: -(-tokens // _BLOCK)]
    return (blocks[:, None] * _BLOCK + torch.arange(_BLOCK, device=device)).flatten()[:tokens]


def _num_blocks(tokens: int) -> int:
    """Of a cache with room for twice as many tokens."""
    return 2 * -(-tokens // _BLOCK)


def _randn(shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
    return torch.randn(shape, dtype=_BF16, device=device)


def _zeros(shape: tuple[int, ...], stored: torch.dtype, device: torch.device) -> torch.Tensor:
    return torch.zeros(shape, dtype=stored, device=device)


def _bytes(shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
    """e4m3 codes of ordinary numbers."""
    return torch.randint(0x20, 0x48, shape, dtype=torch.uint8, device=device)


def _write(tokens: int, stored: str, order: str, flash: bool) -> CacheCase:
    dtype = layouts.storage_dtype(stored, _BF16)
    heads = (_num_blocks(tokens), _HEADS, _HEAD_SIZE, _BLOCK)
    if flash:
        shapes = [(heads[0], _BLOCK, _HEADS, _HEAD_SIZE)] * 2
    else:
        shapes = [layouts.key_cache_shape(*heads, dtype), layouts.value_cache_shape(*heads)]

    def build(device: torch.device) -> Arguments:
        rows = (tokens, _HEADS, _HEAD_SIZE)
        return {
            "key": _randn(rows, device),
            "value": _randn(rows, device),
            "key_cache": _zeros(shapes[0], dtype, device),
            "value_cache": _zeros(shapes[1], dtype, device),
            "slot_mapping": _slots(tokens, order, device),
            "kv_cache_dtype": stored,
            "k_scale": torch.tensor(0.5, device=device),
            "v_scale": torch.tensor(0.25, device=device),
        }

    name = "reshape_and_cache_flash" if flash else "reshape_and_cache"
    return CacheCase(
        f"{name}/{tokens}/{order}/{stored}",
        getattr(stablekv, name),
        getattr(reference_flash if flash else reference, name),
        build,
        ("key_cache", "value_cache"),
        2 * tokens * _HEADS * _HEAD_SIZE * (_BF16.itemsize + dtype.itemsize),
    )


def _mla_write(tokens: int, stored: str) -> CacheCase:
    entry = 656 if stored == "fp8_ds_mla" else _LORA + _ROPE
    dtype = _BF16 if stored == "auto" else torch.uint8

    def build(device: torch.device) -> Arguments:
        return {
            "kv_c": _randn((tokens, _LORA), device),
            "k_pe": _randn((tokens, _ROPE), device),
            "kv_cache": _zeros((_num_blocks(tokens), _BLOCK, entry), dtype, device),
            "slot_mapping": _slots(tokens, "random", device),
            "kv_cache_dtype": stored,
            "scale": torch.tensor(0.5, device=device),
        }

    return CacheCase(
        f"concat_and_cache_mla/{tokens}/{stored}",
        stablekv.concat_and_cache_mla,
        reference_mla.concat_and_cache_mla,
        build,
        ("kv_cache",),
        tokens * ((_LORA + _ROPE) * _BF16.itemsize + entry * dtype.itemsize),
    )


def _concat_mla_q(tokens: int, heads: int) -> CacheCase:
    def build(device: torch.device) -> Arguments:
        return {
            "ql_nope": _randn((tokens, heads, _LORA), device),
            "q_pe": _randn((tokens, heads, _ROPE), device),
            "q_out": _zeros((tokens, heads, _LORA + _ROPE), _BF16, device),
        }

    return CacheCase(
        f"concat_mla_q/{tokens}x{heads}",
        stablekv.concat_mla_q,
        reference_mla.concat_mla_q,
        build,
        ("q_out",),
        2 * tokens * heads * (_LORA + _ROPE) * _BF16.itemsize,
    )


def _indexer_write(tokens: int) -> CacheCase:
    head, group = 128, 128

    def build(device: torch.device) -> Arguments:
        shape = (_num_blocks(tokens), _BLOCK, head + 4 * head // group)
        return {
            "k": _randn((tokens, head), device),
            "kv_cache": _zeros(shape, torch.uint8, device),
            "slot_mapping": _slots(tokens, "random", device),
            "quant_block_size": group,
            "kv_cache_dtype": "ue8m0",
        }

    return CacheCase(
        f"indexer_k_quant_and_cache/{tokens}",
        stablekv.indexer_k_quant_and_cache,
        reference_mla.indexer_k_quant_and_cache,
        build,
        ("kv_cache",),
        tokens * (head * _BF16.itemsize + head + 4 * head // group),
    )


def _tables(tokens: int, seqs: int, device: torch.device) -> Arguments:
    """`seqs` sequences of equal length on pages anywhere."""
    blocks = -(-tokens // seqs // _BLOCK)
    order = torch.randperm(_num_blocks(tokens), device=device)[: seqs * blocks]
    return {
        "block_table": order.int().view(seqs, blocks),
        "cu_seq_lens": torch.arange(seqs + 1, dtype=torch.int32, device=device) * (tokens // seqs),
    }


def _gather(tokens: int, seqs: int = 8) -> CacheCase:
    entry = _LORA + _ROPE

    def build(device: torch.device) -> Arguments:
        return {
            "src_cache": _randn((_num_blocks(tokens), _BLOCK, entry), device),
            "dst": _zeros((tokens, entry), _BF16, device),
            **_tables(tokens, seqs, device),
            "batch_size": seqs,
        }

    return CacheCase(
        f"cp_gather_cache/{tokens}/auto",
        stablekv.cp_gather_cache,
        reference_gather.cp_gather_cache,
        build,
        ("dst",),
        2 * tokens * entry * _BF16.itemsize,
    )


def _gather_dequant(tokens: int, seqs: int = 8) -> CacheCase:
    entry = _LORA + _ROPE

    def build(device: torch.device) -> Arguments:
        sequences = torch.arange(seqs, dtype=torch.int32, device=device)
        return {
            "src_cache": _bytes((_num_blocks(tokens), _BLOCK, entry), device),
            "dst": _zeros((tokens, entry), _BF16, device),
            **_tables(tokens, seqs, device),
            "token_to_seq": sequences.repeat_interleave(tokens // seqs),
            "num_tokens": tokens,
            "kv_cache_dtype": "fp8",
            "scale": torch.tensor(0.5, device=device),
        }

    return CacheCase(
        f"gather_and_maybe_dequant_cache/{tokens}/fp8",
        stablekv.gather_and_maybe_dequant_cache,
        reference_gather.gather_and_maybe_dequant_cache,
        build,
        ("dst",),
        tokens * entry * (1 + _BF16.itemsize),
    )


def _gather_upconvert(tokens: int, seqs: int = 8) -> CacheCase:
    def build(device: torch.device) -> Arguments:
        source = _bytes((_num_blocks(tokens), _BLOCK, 656), device)
        scales = torch.full((*source.shape[:2], 4), 0.5, device=device)
        source[..., 512:528] = scales.view(torch.uint8)
        tables = _tables(tokens, seqs, device)
        return {
            "src_cache": source,
            "dst": _zeros((tokens, _LORA + _ROPE), _BF16, device),
            "block_table": tables["block_table"],
            "seq_lens": torch.full((seqs,), tokens // seqs, dtype=torch.int32, device=device),
            "workspace_starts": tables["cu_seq_lens"][:-1].contiguous(),
            "batch_size": seqs,
        }

    return CacheCase(
        f"cp_gather_and_upconvert_fp8_kv_cache/{tokens}",
        stablekv.cp_gather_and_upconvert_fp8_kv_cache,
        reference_gather.cp_gather_and_upconvert_fp8_kv_cache,
        build,
        ("dst",),
        tokens * (656 + (_LORA + _ROPE) * _BF16.itemsize),
    )


def _gather_indexer(tokens: int, seqs: int = 8) -> CacheCase:
    head, scale_bytes = 128, 4

    def build(device: torch.device) -> Arguments:
        return {
            "kv_cache": _bytes((_num_blocks(tokens), _BLOCK, head + scale_bytes), device),
            "dst_k": _zeros((tokens, head), torch.uint8, device),
            "dst_scale": _zeros((tokens, scale_bytes), torch.uint8, device),
            **_tables(tokens, seqs, device),
        }

    return CacheCase(
        f"cp_gather_indexer_k_quant_cache/{tokens}",
        stablekv.cp_gather_indexer_k_quant_cache,
        reference_gather.cp_gather_indexer_k_quant_cache,
        build,
        ("dst_k", "dst_scale"),
        2 * tokens * (head + scale_bytes),
    )


def _convert(tokens: int) -> CacheCase:
    shape = (tokens // _BLOCK, _BLOCK, _HEADS, _HEAD_SIZE)

    def build(device: torch.device) -> Arguments:
        return {
            "dst_cache": _zeros(shape, torch.uint8, device),
            "src_cache": _randn(shape, device),
            "scale": 0.5,
            "kv_cache_dtype": "fp8",
        }

    return CacheCase(
        f"convert_fp8/{tokens}/to fp8",
        stablekv.convert_fp8,
        reference_convert.convert_fp8,
        build,
        ("dst_cache",),
        tokens * _HEADS * _HEAD_SIZE * (1 + _BF16.itemsize),
    )


def _merge(tokens: int) -> CacheCase:
    heads = 32

    def build(device: torch.device) -> Arguments:
        rows = (tokens, heads, _HEAD_SIZE)
        return {
            "output": _zeros(rows, _BF16, device),
            "output_lse": torch.zeros(heads, tokens, device=device),
            "prefix_output": _randn(rows, device),
            "prefix_lse": torch.randn(heads, tokens, device=device),
            "suffix_output": _randn(rows, device),
            "suffix_lse": torch.randn(heads, tokens, device=device),
        }

    return CacheCase(
        f"merge_attn_states/{tokens}x{heads}",
        stablekv.merge_attn_states,
        reference_merge.merge_attn_states,
        build,
        ("output", "output_lse"),
        3 * tokens * heads * (_HEAD_SIZE * _BF16.itemsize + 4),
        exact=False,  # exponentials
    )


def _swap(where: str, count: int, size: int = 32 << 10) -> CacheCase:
    """From one place to another: d is the device, h pinned memory of the host."""

    def build(device: torch.device) -> Arguments:
        def cache(place: str) -> torch.Tensor:
            if place == "d":
                return _bytes((2 * count, size), device)
            return _bytes((2 * count, size), torch.device("cpu")).pin_memory()

        pairs = torch.stack([torch.randperm(2 * count)[:count] for _ in range(2)], dim=1)
        return {
            "src": cache(where[0]),
            "dst": cache(where[-1]),
            "block_size_in_bytes": size,
            "block_mapping": pairs,
        }

    return CacheCase(
        f"swap_blocks/{count}x{size >> 10}K/{where}",
        stablekv.swap_blocks,
        reference_swap.swap_blocks,
        build,
        ("dst",),
        2 * count * size,
        only_cuda="h" in where,
        graph="h" not in where,
    )


def cases(tokens: int = 8192) -> list[CacheCase]:
    """Every case; `tokens` are those of a prefill."""
    return [
        *(_write(tokens, s, o, False) for o in ("pages", "random") for s in ("auto", "fp8")),
        *(_write(n, s, "random", False) for n in (256, 1) for s in ("auto", "fp8")),
        *(_write(n, s, "random", True) for n in (tokens, 256, 1) for s in ("auto", "fp8")),
        *(_swap(where, tokens // 16) for where in ("d2d", "h2d", "d2h")),
        *(_mla_write(tokens, stored) for stored in ("auto", "fp8", "fp8_ds_mla")),
        _concat_mla_q(tokens // 16, 16),
        _indexer_write(tokens),
        _gather(tokens),
        _gather_dequant(tokens),
        _gather_upconvert(tokens),
        _gather_indexer(tokens),
        _convert(tokens),
        _merge(tokens // 16),
    ]
