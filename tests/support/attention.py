"""Calls of paged attention: built from a description, run, and compared with the reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import stablekv
import torch
from stablekv import layouts, reference
from stablekv.attention import DENSE, BlockSparse

from tests.support import tensors

_SPARE_BLOCKS = 3  # of the cache, in no table


@dataclass(frozen=True)
class AttentionCase:
    """What a call looks like. Caches are poisoned except where a token is; tables are shuffled."""

    seq_lens: tuple[int, ...] = (1, 19, 40)
    num_heads: int = 4
    num_kv_heads: int = 2
    head_size: int = 64
    block_size: int = 16
    dtype: torch.dtype = torch.float32
    kv_cache_dtype: str = "auto"
    k_scale: float = 1.0
    v_scale: float = 1.0
    alibi: bool = False
    block_sparse: BlockSparse = DENSE
    max_seq_len: int | None = None  # None: of the longest sequence
    spare_columns: int = 2  # of block_tables, past max_seq_len

    def __str__(self) -> str:
        default = AttentionCase()
        words = []
        for name, value in self.__dict__.items():
            if value != getattr(default, name):
                words.append(f"{name}={_short(value)}")
        return ",".join(words) or "default"


def _short(value: object) -> str:
    if isinstance(value, BlockSparse):
        return "/".join(map(str, value))
    if isinstance(value, tuple):
        return "+".join(map(str, value))
    return str(value).removeprefix("torch.")


def arguments_of(case: AttentionCase, device: str, seed: int = 0) -> dict[str, Any]:
    """The arguments of paged_attention_v1, by name and in order."""
    random = torch.Generator().manual_seed(seed)
    num_seqs, longest = len(case.seq_lens), max(case.seq_lens, default=0)
    max_seq_len = longest if case.max_seq_len is None else case.max_seq_len
    used = [-(-length // case.block_size) for length in case.seq_lens]
    num_blocks = sum(used) + _SPARE_BLOCKS
    columns = -(-max_seq_len // case.block_size) + case.spare_columns

    garbage = torch.tensor([-1, num_blocks, 2**31 - 1, -(2**31)], dtype=torch.int32)
    block_tables = garbage[torch.randint(4, (num_seqs, columns), generator=random)]
    order = torch.randperm(num_blocks, generator=random).int()
    stored = layouts.storage_dtype(case.kv_cache_dtype, case.dtype)
    heads = (num_blocks, case.num_kv_heads, case.head_size, case.block_size)
    key_cache = tensors.poisoned(layouts.key_cache_shape(*heads, stored), stored, "cpu")
    value_cache = tensors.poisoned(layouts.value_cache_shape(*heads), stored, "cpu")
    k_scale, v_scale = torch.tensor(case.k_scale), torch.tensor(case.v_scale)
    slots = []
    for sequence, (length, count) in enumerate(zip(case.seq_lens, used, strict=True)):
        blocks, order = order[:count], order[count:]
        block_tables[sequence, :count] = blocks
        positions = torch.arange(length)
        block = blocks.long()[positions // case.block_size]
        slots.append(block * case.block_size + positions % case.block_size)
    slot_mapping = torch.cat([torch.empty(0, dtype=torch.int64), *slots])
    tokens = (len(slot_mapping), case.num_kv_heads, case.head_size)
    reference.reshape_and_cache(
        torch.randn(tokens, generator=random).to(case.dtype),
        torch.randn(tokens, generator=random).to(case.dtype),
        key_cache,
        value_cache,
        slot_mapping,
        case.kv_cache_dtype,
        k_scale,
        v_scale,
    )
    query = torch.randn(num_seqs, case.num_heads, case.head_size, generator=random)
    slopes = torch.linspace(-0.1, 0.4, case.num_heads) if case.alibi else None
    arguments = {
        "out": tensors.poisoned(tuple(query.shape), case.dtype, device),
        "query": query.to(case.dtype),
        "key_cache": key_cache,
        "value_cache": value_cache,
        "num_kv_heads": case.num_kv_heads,
        "scale": case.head_size**-0.5,
        "block_tables": block_tables,
        "seq_lens": torch.tensor(case.seq_lens, dtype=torch.int32),
        "block_size": case.block_size,
        "max_seq_len": max_seq_len,
        "alibi_slopes": slopes,
        "kv_cache_dtype": case.kv_cache_dtype,
        "k_scale": k_scale,
        "v_scale": v_scale,
        "tp_rank": case.block_sparse.tp_rank,
        "blocksparse_local_blocks": case.block_sparse.local_blocks,
        "blocksparse_vert_stride": case.block_sparse.vert_stride,
        "blocksparse_block_size": case.block_sparse.block_size,
        "blocksparse_head_sliding_step": case.block_sparse.head_sliding_step,
    }
    return {name: _to(device, value) for name, value in arguments.items()}


def with_scratch(arguments: dict[str, Any]) -> dict[str, Any]:
    """The same call of paged_attention_v2, with poisoned scratch of exactly the needed size."""
    query = arguments["query"]
    device = query.device
    rows = (*query.shape[:2], layouts.num_partitions(arguments["max_seq_len"]))
    return {
        "out": arguments["out"],
        "exp_sums": tensors.poisoned(rows, torch.float32, device),
        "max_logits": tensors.poisoned(rows, torch.float32, device),
        "tmp_out": tensors.poisoned((*rows, query.shape[2]), query.dtype, device),
        **arguments,
    }


def run(version: str, arguments: dict[str, Any]) -> torch.Tensor:
    """Runs v1 or v2, with scratch where it is not among the arguments; returns `out`."""
    if version == "v2" and "exp_sums" not in arguments:
        arguments = with_scratch(arguments)
    getattr(stablekv, f"paged_attention_{version}")(**arguments)
    return arguments["out"]


def check(version: str, arguments: dict[str, Any]) -> torch.Tensor:
    """Runs v1 or v2 and compares with the reference; returns `out`.

    With u the rounding error of the dtype of `out`, and V the largest value attended to, an element
    may be off by 1e-5 V for float32 arithmetic and by u times itself for the final rounding; in v2
    also by the rounding of partition results, 2 u times the largest element of its row. What is not
    finite is to be the same, and V and that largest element are of finite ones.
    Nothing but the outputs may change, and of these not what lies between the elements.
    """
    if version == "v2" and "exp_sums" not in arguments:
        arguments = with_scratch(arguments)
    expected = expected_rows(arguments)
    before = tensors.snapshot(arguments)
    run(version, arguments)
    actual = arguments["out"].detach().cpu().double()

    unit = torch.finfo(arguments["out"].dtype).eps / 2
    bound = 1e-5 * _largest_value(arguments) + 1.01 * unit * _finite(expected).abs()
    if version == "v2" and expected.numel():
        bound = bound + 2 * unit * _finite(expected).abs().amax(dim=2, keepdim=True)
    near = (actual - expected).abs() <= bound
    same = (actual == expected) | (actual.isnan() & expected.isnan())
    wrong = ~torch.where(expected.isfinite(), near, same)
    if wrong.any():
        place = tuple(wrong.nonzero()[0].tolist())
        raise AssertionError(
            f"{version}: {int(wrong.sum())} of {wrong.numel()} elements are off, the first at "
            f"{place}: {actual[place]:.9g} instead of {expected[place]:.9g}"
        )
    scratch = ("exp_sums", "max_logits", "tmp_out") if version == "v2" else ()
    if touched := tensors.changed(before, arguments, but=("out", *scratch)):
        raise AssertionError(f"{version} wrote to {touched}, outside of its outputs' elements")
    return arguments["out"]


def expected_rows(arguments: dict[str, Any]) -> torch.Tensor:
    """What the reference gives, unrounded: float64 on the CPU."""
    scratch = ("out", "exp_sums", "max_logits", "tmp_out", "max_seq_len")
    given = {name: _to("cpu", v) for name, v in arguments.items() if name not in scratch}
    return reference.attention(**given)


def _largest_value(arguments: dict[str, Any]) -> float:
    largest = 0.0
    lengths = arguments["seq_lens"].cpu()
    for sequence, length in enumerate(lengths.tolist()):
        if length:
            values = reference.gather_values(
                arguments["value_cache"].cpu(),
                arguments["block_tables"][sequence].cpu(),
                length,
                arguments["block_size"],
                arguments["kv_cache_dtype"],
                arguments["v_scale"].cpu(),
            )
            largest = max(largest, _finite(values).abs().max().item())
    return largest


def _finite(tensor: torch.Tensor) -> torch.Tensor:
    return torch.where(tensor.isfinite(), tensor, 0)


def _to(device: str, value: Any) -> Any:
    return value.to(device) if isinstance(value, torch.Tensor) else value
