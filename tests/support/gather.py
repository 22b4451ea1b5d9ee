"""Calls of the gathers: built from a description, run, and compared with the reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import stablekv
import torch
from stablekv import layouts, reference_gather

from tests.support import tensors
from tests.support.compare import check_bytes

_SPARE_BLOCKS = 3  # of the cache, in no table
DS_MLA_BYTES = 656
DS_MLA_HEAD_DIM = 576


@dataclass(frozen=True)
class GatherCase:
    """What a call looks like. Tables are shuffled, and garbage where no row needs them."""

    rows: tuple[int, ...] = (5, 0, 19, 8)  # of each sequence
    seq_starts: tuple[int, ...] | None = (3, 40, 0, 21)  # first token of each sequence
    block_size: int = 8
    entry_size: int = 24
    dtype: torch.dtype = torch.float32  # of dst
    kv_cache_dtype: str = "auto"
    scale: float = 0.0371
    first_row: int = 0
    spare_rows: int = 3  # of dst, past the last sequence
    spare_columns: int = 2  # of block_table

    def __str__(self) -> str:
        default = GatherCase()
        changed = {n: v for n, v in self.__dict__.items() if v != getattr(default, n)}
        return ",".join(f"{n}={_short(v)}" for n, v in changed.items()) or "default"


def _short(value: object) -> str:
    if isinstance(value, tuple):
        return "+".join(map(str, value)) or "none"
    return str(value).removeprefix("torch.")


def random_bits(shape: tuple[int, ...], dtype: torch.dtype, seed: int = 0) -> torch.Tensor:
    """Elements of any bits: all sorts of NaN, infinities, subnormals."""
    random = torch.Generator().manual_seed(seed)
    count = torch.Size(shape).numel() * dtype.itemsize
    noise = torch.randint(0, 256, (count,), dtype=torch.uint8, generator=random)
    return noise.view(dtype).view(shape)


def _tables(case: GatherCase) -> tuple[torch.Tensor, int]:
    """block_table, and the blocks of the cache that it is for."""
    random = torch.Generator().manual_seed(1)
    starts = case.seq_starts or (0,) * len(case.rows)
    ends = [s + n if n else 0 for s, n in zip(starts, case.rows, strict=True)]
    used = [-(-end // case.block_size) for end in ends]
    num_blocks = sum(used) + _SPARE_BLOCKS
    shape = (len(case.rows), max(used, default=0) + case.spare_columns)
    garbage = torch.tensor([-1, num_blocks, 2**31 - 1, -(2**31)], dtype=torch.int32)
    table = garbage[torch.randint(4, shape, generator=random)]
    order = torch.randperm(num_blocks, generator=random).int()
    for sequence, (start, end) in enumerate(zip(starts, ends, strict=True)):
        first, last = start // case.block_size, -(-end // case.block_size)
        if first < last:
            table[sequence, first:last], order = order[: last - first], order[last - first :]
    return table, num_blocks


def _cumulative(case: GatherCase) -> torch.Tensor:
    rows = torch.tensor((case.first_row, *case.rows))
    return rows.cumsum(0).int()


def _moved(arguments: dict[str, Any], device: str) -> dict[str, Any]:
    return {n: v.to(device) if isinstance(v, torch.Tensor) else v for n, v in arguments.items()}


def _starts(case: GatherCase) -> torch.Tensor | None:
    return None if case.seq_starts is None else torch.tensor(case.seq_starts, dtype=torch.int32)


def _num_rows(case: GatherCase) -> int:
    return case.first_row + sum(case.rows) + case.spare_rows


def plain_arguments(case: GatherCase, device: str) -> dict[str, Any]:
    """The arguments of cp_gather_cache."""
    table, num_blocks = _tables(case)
    shape = (num_blocks, case.block_size, case.entry_size)
    arguments = {
        "src_cache": random_bits(shape, case.dtype),
        "dst": tensors.poisoned((_num_rows(case), case.entry_size), case.dtype, "cpu"),
        "block_table": table,
        "cu_seq_lens": _cumulative(case),
        "batch_size": len(case.rows),
        "seq_starts": _starts(case),
    }
    return _moved(arguments, device)


def check_plain(arguments: dict[str, Any]) -> None:
    """Runs cp_gather_cache and compares every byte of dst."""
    check_bytes(
        stablekv.cp_gather_cache, reference_gather.cp_gather_cache, arguments, written=["dst"]
    )


def dequant_arguments(case: GatherCase, device: str) -> dict[str, Any]:
    """The arguments of gather_and_maybe_dequant_cache."""
    plain = plain_arguments(case, "cpu")
    stored = layouts.storage_dtype(case.kv_cache_dtype, case.dtype)
    rows = torch.tensor(case.rows, dtype=torch.int64)
    sequences = torch.arange(len(case.rows)).repeat_interleave(rows).int()
    before, after = torch.full((case.first_row,), -1), torch.full((case.spare_rows,), -1)
    arguments = {
        "src_cache": random_bits(tuple(plain["src_cache"].shape), stored),
        "dst": plain["dst"],
        "block_table": plain["block_table"],
        "cu_seq_lens": plain["cu_seq_lens"],
        "token_to_seq": torch.cat([before.int(), sequences, after.int()]),
        "num_tokens": _num_rows(case),
        "kv_cache_dtype": case.kv_cache_dtype,
        "scale": torch.tensor(case.scale),
        "seq_starts": plain["seq_starts"],
    }
    return _moved(arguments, device)


def check_dequant(arguments: dict[str, Any]) -> None:
    """Runs gather_and_maybe_dequant_cache and compares every byte of dst."""
    check_bytes(
        stablekv.gather_and_maybe_dequant_cache,
        reference_gather.gather_and_maybe_dequant_cache,
        arguments,
        written=["dst"],
    )


def upconvert_arguments(case: GatherCase, device: str) -> dict[str, Any]:
    """The arguments of cp_gather_and_upconvert_fp8_kv_cache: no starts, no spare rows."""
    table, num_blocks = _tables(case)
    shape = (num_blocks, case.block_size, DS_MLA_BYTES)
    src_cache = random_bits(shape, torch.uint8)
    # Scales of random bits are mostly huge or tiny, so half of them are made ordinary.
    random = torch.Generator().manual_seed(2)
    scales = torch.rand(num_blocks, case.block_size, 2, generator=random)
    src_cache[:, :, 512:520] = scales.view(torch.uint8)
    arguments = {
        "src_cache": src_cache,
        "dst": tensors.poisoned((_num_rows(case), DS_MLA_HEAD_DIM), torch.bfloat16, "cpu"),
        "block_table": table,
        "seq_lens": torch.tensor(case.rows, dtype=torch.int32),
        "workspace_starts": _cumulative(case)[:-1].contiguous(),
        "batch_size": len(case.rows),
    }
    return _moved(arguments, device)


def check_upconvert(arguments: dict[str, Any]) -> None:
    """Runs cp_gather_and_upconvert_fp8_kv_cache and compares every byte of dst."""
    check_bytes(
        stablekv.cp_gather_and_upconvert_fp8_kv_cache,
        reference_gather.cp_gather_and_upconvert_fp8_kv_cache,
        arguments,
        written=["dst"],
    )


def indexer_arguments(case: GatherCase, device: str, num_scales: int = 1) -> dict[str, Any]:
    """The arguments of cp_gather_indexer_k_quant_cache: entry_size is head_dim."""
    table, num_blocks = _tables(case)
    scale_bytes = 4 * num_scales
    shape = (num_blocks, case.block_size, case.entry_size + scale_bytes)
    arguments = {
        "kv_cache": random_bits(shape, torch.uint8),
        "dst_k": tensors.poisoned((_num_rows(case), case.entry_size), torch.uint8, "cpu"),
        "dst_scale": tensors.poisoned((_num_rows(case), scale_bytes), torch.uint8, "cpu"),
        "block_table": table,
        "cu_seq_lens": _cumulative(case),
    }
    return _moved(arguments, device)


def check_indexer(arguments: dict[str, Any]) -> None:
    """Runs cp_gather_indexer_k_quant_cache and compares every byte of both outputs."""
    check_bytes(
        stablekv.cp_gather_indexer_k_quant_cache,
        reference_gather.cp_gather_indexer_k_quant_cache,
        arguments,
        written=["dst_k", "dst_scale"],
    )
