"""Calls of the MLA operators: built from a description, run, and compared with the reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import stablekv
import torch
from stablekv import layouts, reference_mla

from tests.support.compare import check_bytes

DS_MLA = "fp8_ds_mla"
_NUM_POSITIONS = 50
_INTEGERS = {2: torch.int16, 4: torch.int32}


@dataclass(frozen=True)
class MlaCase:
    """What a call looks like. Caches hold random bytes, so that a store too many shows."""

    slots: tuple[int, ...] = (5, 16, -1, 0, 47, 31, 32, 12, -1, 20, 63, 3)
    num_heads: int = 3
    kv_lora_rank: int = 48  # also nope_dim, and the indexer's head_dim
    pe_dim: int = 16
    block_size: int = 16
    num_blocks: int = 4
    dtype: torch.dtype = torch.float32
    kv_cache_dtype: str = "auto"  # of the indexer: the format of its scales
    quant_block_size: int = 16
    scale: float = 0.0371
    is_neox: bool = True
    spare_tokens: int = 2  # past the last slot

    def __str__(self) -> str:
        default = MlaCase()
        changed = {n: v for n, v in self.__dict__.items() if v != getattr(default, n)}
        short = {n: len(v) if n == "slots" else v for n, v in changed.items()}
        return ",".join(f"{n}={v}" for n, v in short.items()).replace("torch.", "") or "default"

    @property
    def num_tokens(self) -> int:
        return len(self.slots) + self.spare_tokens


def special_values(dtype: torch.dtype) -> torch.Tensor:
    """NaN, infinities, zeros, the largest and the smallest number, of both signs."""
    info = torch.finfo(dtype)
    subnormal = torch.tensor([1, 2, 3]).to(_INTEGERS[dtype.itemsize])
    values = torch.tensor([float("nan"), float("inf"), 0.0, info.max, info.tiny], dtype=dtype)
    values = torch.cat([values, subnormal.view(dtype)])
    return torch.cat([values, -values])


def rows_of(shape: tuple[int, ...], dtype: torch.dtype, seed: int) -> torch.Tensor:
    """Elements, each row of its own magnitude and kind.

    Row after row: ordinary numbers; some NaN and zeros among them; all sorts of special values
    among them; zeros and NaN alone; subnormals alone.
    """
    random = torch.Generator().manual_seed(seed)
    count = torch.Size(shape[:-1]).numel()
    size = (count, shape[-1])
    kind = torch.arange(count)[:, None] % 5
    magnitude = torch.exp2(torch.randint(-12, 9, (count, 1), generator=random).float())
    rows = (torch.randn(size, generator=random) * magnitude).to(dtype)

    every = special_values(dtype)
    none = every[every.isnan() | (every == 0)]
    few = torch.rand(size, generator=random) < 0.15
    drawn = none[torch.randint(len(none), size, generator=random)]
    rows = torch.where((kind == 3) | ((kind == 1) & few), drawn, rows)
    drawn = every[torch.randint(len(every), size, generator=random)]
    rows = torch.where((kind == 2) & few, drawn, rows)
    subnormal = torch.randint(200, size, generator=random).to(_INTEGERS[dtype.itemsize]).view(dtype)
    subnormal = torch.where(torch.rand(size, generator=random) < 0.5, subnormal, -subnormal)
    return torch.where(kind == 4, subnormal, rows).view(shape)


def noise(shape: tuple[int, ...], dtype: torch.dtype, seed: int) -> torch.Tensor:
    """Random bytes."""
    empty = torch.empty(shape, dtype=dtype)
    random = torch.Generator().manual_seed(seed)
    codes = torch.randint(0, 256, (empty.nbytes,), dtype=torch.uint8, generator=random)
    return codes.view(dtype).view(shape)


def _moved(arguments: dict[str, Any], device: str) -> dict[str, Any]:
    return {n: v.to(device) if isinstance(v, torch.Tensor) else v for n, v in arguments.items()}


def _cache(case: MlaCase, entry: int, dtype: torch.dtype) -> torch.Tensor:
    return noise((case.num_blocks, case.block_size, entry), dtype, seed=7)


# ---- concat_and_cache_mla


def writer_arguments(case: MlaCase, device: str) -> dict[str, Any]:
    """The arguments of concat_and_cache_mla, by name and in order."""
    if case.kv_cache_dtype == DS_MLA:
        cache = _cache(case, reference_mla.DS_MLA_BYTES, torch.uint8)
    else:
        stored = layouts.storage_dtype(case.kv_cache_dtype, case.dtype)
        cache = _cache(case, case.kv_lora_rank + case.pe_dim, stored)
    arguments = {
        "kv_c": rows_of((case.num_tokens, case.kv_lora_rank), case.dtype, seed=1),
        "k_pe": rows_of((case.num_tokens, case.pe_dim), case.dtype, seed=2),
        "kv_cache": cache,
        "slot_mapping": torch.tensor(case.slots, dtype=torch.int64),
        "kv_cache_dtype": case.kv_cache_dtype,
        "scale": torch.tensor(case.scale),
    }
    return _moved(arguments, device)


def check_writer(arguments: dict[str, Any]) -> None:
    """Runs concat_and_cache_mla and compares every byte of the cache."""
    check_bytes(
        stablekv.concat_and_cache_mla,
        reference_mla.concat_and_cache_mla,
        arguments,
        written=["kv_cache"],
    )


# ---- concat_and_cache_mla_rope_fused


def fused_arguments(case: MlaCase, device: str) -> dict[str, Any]:
    """The arguments of concat_and_cache_mla_rope_fused, by name and in order."""
    writer = writer_arguments(case, "cpu")
    random = torch.Generator().manual_seed(5)
    angles = torch.rand(_NUM_POSITIONS, case.pe_dim // 2, generator=random) * 6.3
    arguments = {
        "positions": torch.randint(_NUM_POSITIONS, (case.num_tokens,), generator=random),
        "q_pe": rows_of((case.num_tokens, case.num_heads, case.pe_dim), case.dtype, seed=3),
        "k_pe": writer["k_pe"],
        "kv_c": writer["kv_c"],
        "cos_sin_cache": torch.cat([angles.cos(), angles.sin()], dim=1).to(case.dtype),
        "is_neox": case.is_neox,
        "slot_mapping": writer["slot_mapping"],
        "kv_cache": writer["kv_cache"],
        "kv_cache_dtype": case.kv_cache_dtype,
        "kv_cache_scale": writer["scale"],
    }
    return _moved(arguments, device)


def check_fused(arguments: dict[str, Any]) -> None:
    """Runs concat_and_cache_mla_rope_fused and compares every byte of what it writes."""
    check_bytes(
        stablekv.concat_and_cache_mla_rope_fused,
        reference_mla.concat_and_cache_mla_rope_fused,
        arguments,
        written=["q_pe", "k_pe", "kv_cache"],
    )


# ---- concat_mla_q


def concat_arguments(case: MlaCase, device: str) -> dict[str, Any]:
    """The arguments of concat_mla_q: as many tokens as there are slots."""
    shape = (len(case.slots), case.num_heads)
    arguments = {
        "ql_nope": noise((*shape, case.kv_lora_rank), case.dtype, seed=1),
        "q_pe": noise((*shape, case.pe_dim), case.dtype, seed=2),
        "q_out": noise((*shape, case.kv_lora_rank + case.pe_dim), case.dtype, seed=3),
    }
    return _moved(arguments, device)


def check_concat(arguments: dict[str, Any]) -> None:
    """Runs concat_mla_q and compares every byte of q_out."""
    check_bytes(stablekv.concat_mla_q, reference_mla.concat_mla_q, arguments, written=["q_out"])


# ---- indexer_k_quant_and_cache


def indexer_arguments(case: MlaCase, device: str) -> dict[str, Any]:
    """The arguments of indexer_k_quant_and_cache, by name and in order."""
    head_dim = case.kv_lora_rank
    entry = head_dim + 4 * (head_dim // case.quant_block_size)
    arguments = {
        "k": rows_of((case.num_tokens, head_dim), case.dtype, seed=1),
        "kv_cache": _cache(case, entry, torch.uint8),
        "slot_mapping": torch.tensor(case.slots, dtype=torch.int64),
        "quant_block_size": case.quant_block_size,
        "kv_cache_dtype": case.kv_cache_dtype,
    }
    return _moved(arguments, device)


def check_indexer(arguments: dict[str, Any]) -> None:
    """Runs indexer_k_quant_and_cache and compares every byte of the cache."""
    check_bytes(
        stablekv.indexer_k_quant_and_cache,
        reference_mla.indexer_k_quant_and_cache,
        arguments,
        written=["kv_cache"],
    )
