"""The table's part on gathers."""

from __future__ import annotations

import dataclasses

import stablekv
import torch

from tests.support import gather
from tests.support.changes import assign, put, wrong_kv_cache_dtypes
from tests.support.contract import (
    CACHE,
    ELEMENT,
    WIDENED,
    Arguments,
    Change,
    Operator,
    Refusal,
    Row,
    Variant,
)
from tests.support.gather import GatherCase

_SPACE = "_C_cache_ops"
_BYTES = (torch.uint8, torch.float8_e4m3fn)

# Sequences of 5, 9 and 20 rows in blocks of 8 tokens, and 3 rows of none.
_CASE = GatherCase(rows=(5, 9, 20), seq_starts=(3, 40, 0))
_STARTLESS = dataclasses.replace(_CASE, seq_starts=None)
_ENDING = dataclasses.replace(_STARTLESS, spare_rows=0)
_INDEXER = dataclasses.replace(_STARTLESS, entry_size=256)
_EMPTY = {"rows": (), "seq_starts": None, "spare_rows": 0}


def _typed(case: GatherCase, variant: Variant) -> GatherCase:
    return dataclasses.replace(case, dtype=variant.dtype, kv_cache_dtype=variant.kv_cache_dtype)


def _cut(name: str, dim: int, size: int) -> Change:
    def change(arguments: Arguments) -> None:
        arguments[name] = arguments[name].narrow(dim, 0, size).contiguous()

    return change


def _zeros_of(dtype: torch.dtype, *names: str) -> Change:
    def change(arguments: Arguments) -> None:
        arguments.update({name: torch.zeros_like(arguments[name], dtype=dtype) for name in names})

    return change


def _overlapping(name: str, of: str) -> Change:
    """Puts a tensor into the memory of another, whatever its dtype."""

    def change(arguments: Arguments) -> None:
        old = arguments[name]
        memory = arguments[of].flatten().view(torch.uint8)
        arguments[name] = memory[: old.nbytes].view(old.dtype).view(old.shape)

    return change


def _wrong_tables(starts: str) -> tuple[Refusal, ...]:
    """Values inside the tensors that all gathers have, of calls with _CASE's rows."""
    return (
        Refusal("table-too-short", ("block_table",), _cut("block_table", 1, 1), only_cpu=True),
        *(
            Refusal(f"block-{n}", ("block_table",), put("block_table", (2, 1), n), only_cpu=True)
            for n in (-1, 2**20, 2**31 - 1, -(2**31))
        ),
        Refusal(f"{starts}-negative", (starts,), put(starts, (0,), -1), only_cpu=True),
        Refusal(f"{starts}-descends", (starts,), put(starts, (2,), 4), only_cpu=True),
        Refusal(f"{starts}-past-dst", (starts,), put(starts, (-1,), 38), only_cpu=True),
    )


_NEGATIVE_START = Refusal("seq_start", ("seq_starts",), put("seq_starts", (1,), -1), only_cpu=True)

CP_GATHER_CACHE = Operator(
    name="cp_gather_cache",
    namespace=_SPACE,
    rows=(
        Row("src_cache", "num_blocks? block_size? entry_size", ELEMENT, gaps=2),
        Row("dst", "num_rows? entry_size", ELEMENT, gaps=1, written=True),
        Row("block_table", "num_seqs+ max_blocks?", torch.int32, gaps=1),
        Row("cu_seq_lens", "num_starts", torch.int32),
        Row("seq_starts", "num_seqs+", torch.int32),
    ),
    build=lambda variant, device: gather.plain_arguments(_typed(_CASE, variant), device),
    call=stablekv.cp_gather_cache,
    check=gather.check_plain,
    build_empty=lambda device: gather.plain_arguments(GatherCase(**_EMPTY), device),
    refusals=(
        *(Refusal(f"batch_size-{n}", ("batch_size",), assign(batch_size=n)) for n in (-1, 2, 4)),
        *(
            Refusal(
                f"elements-of-{str(dtype).removeprefix('torch.')}",
                ("src_cache",),
                _zeros_of(dtype, "src_cache", "dst"),
            )
            for dtype in (torch.float64, torch.int64, torch.complex128)
        ),
        Refusal("dst-in-src_cache", ("dst",), _overlapping("dst", "src_cache")),
        *_wrong_tables("cu_seq_lens"),
        _NEGATIVE_START,
    ),
)

GATHER_AND_MAYBE_DEQUANT_CACHE = Operator(
    name="gather_and_maybe_dequant_cache",
    namespace=_SPACE,
    rows=(
        Row("src_cache", "num_blocks? block_size? entry_size", CACHE, gaps=2),
        Row("dst", "num_tokens+ entry_size", WIDENED, gaps=1, written=True),
        Row("block_table", "num_seqs+ max_blocks?", torch.int32, gaps=1),
        Row("cu_seq_lens", "num_starts?", torch.int32),
        Row("token_to_seq", "num_tokens+", torch.int32),
        Row("scale", "", torch.float32),
        Row("seq_starts", "num_seqs+", torch.int32),
    ),
    build=lambda variant, device: gather.dequant_arguments(_typed(_CASE, variant), device),
    call=stablekv.gather_and_maybe_dequant_cache,
    check=gather.check_dequant,
    build_empty=lambda device: gather.dequant_arguments(GatherCase(**_EMPTY), device),
    refusals=(
        Refusal("num_tokens-negative", ("num_tokens",), assign(num_tokens=-1)),
        Refusal("num_tokens-past-dst", ("dst",), assign(num_tokens=38)),
        Refusal("more-sequences-than-tables", ("block_table",), _cut("block_table", 0, 2)),
        Refusal("dst-in-src_cache", ("dst",), _overlapping("dst", "src_cache")),
        *(
            Refusal(
                f"token_to_seq-{n}", ("token_to_seq",), put("token_to_seq", (6,), n), only_cpu=True
            )
            for n in (-1, 3, 2**31 - 1)
        ),
        *_wrong_tables("cu_seq_lens")[:-1],  # num_tokens limits the rows
        _NEGATIVE_START,
        *wrong_kv_cache_dtypes("dst", "src_cache"),
    ),
)

CP_GATHER_AND_UPCONVERT_FP8_KV_CACHE = Operator(
    name="cp_gather_and_upconvert_fp8_kv_cache",
    namespace=_SPACE,
    rows=(
        Row("src_cache", "num_blocks? block_size? token_bytes", _BYTES, gaps=2),
        Row("dst", "num_rows? head_dim", torch.bfloat16, gaps=1, written=True),
        Row("block_table", "num_seqs+ max_blocks?", torch.int32, gaps=1),
        Row("seq_lens", "num_seqs+", torch.int32, gaps=1),
        Row("workspace_starts", "num_seqs+", torch.int32),
    ),
    build=lambda variant, device: gather.upconvert_arguments(_ENDING, device),
    call=stablekv.cp_gather_and_upconvert_fp8_kv_cache,
    check=gather.check_upconvert,
    build_empty=lambda device: gather.upconvert_arguments(GatherCase(**_EMPTY), device),
    refusals=(
        Refusal("batch_size-negative", ("batch_size",), assign(batch_size=-1)),
        Refusal("batch_size-4", ("seq_lens",), assign(batch_size=4)),
        Refusal("dst-in-src_cache", ("dst",), _overlapping("dst", "src_cache")),
        *_wrong_tables("workspace_starts"),
    ),
)

CP_GATHER_INDEXER_K_QUANT_CACHE = Operator(
    name="cp_gather_indexer_k_quant_cache",
    namespace=_SPACE,
    rows=(
        Row("kv_cache", "num_blocks? block_size? entry_size", _BYTES, gaps=1),
        Row("dst_k", "num_rows head_dim", _BYTES, gaps=1, written=True),
        Row("dst_scale", "num_rows scale_bytes", torch.uint8, gaps=1, written=True),
        Row("block_table", "num_seqs+ max_blocks?", torch.int32, gaps=1),
        Row("cu_seq_lens", "num_starts?", torch.int32),
    ),
    build=lambda variant, device: gather.indexer_arguments(_INDEXER, device, num_scales=2),
    call=stablekv.cp_gather_indexer_k_quant_cache,
    check=gather.check_indexer,
    build_empty=lambda device: gather.indexer_arguments(
        GatherCase(**_EMPTY, entry_size=128), device
    ),
    refusals=(
        Refusal("more-sequences-than-tables", ("block_table",), _cut("block_table", 0, 2)),
        Refusal("dst_k-in-kv_cache", ("dst_k",), _overlapping("dst_k", "kv_cache")),
        Refusal("dst_scale-in-kv_cache", ("dst_scale",), _overlapping("dst_scale", "kv_cache")),
        Refusal("dst_scale-in-dst_k", ("dst_k",), _overlapping("dst_scale", "dst_k")),
        *_wrong_tables("cu_seq_lens"),
    ),
)

GATHER_OPERATORS = (
    CP_GATHER_CACHE,
    GATHER_AND_MAYBE_DEQUANT_CACHE,
    CP_GATHER_AND_UPCONVERT_FP8_KV_CACHE,
    CP_GATHER_INDEXER_K_QUANT_CACHE,
)
