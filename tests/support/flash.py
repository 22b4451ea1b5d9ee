"""Calls of reshape_and_cache_flash: built from a description, run, and compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import stablekv
import torch
from stablekv import layouts, reference_flash

from tests.support import tensors
from tests.support.compare import check_bytes
from tests.support.mla import noise, rows_of


@dataclass(frozen=True)
class FlashCase:
    """What a call looks like. Caches hold random bytes, so that a store too many shows."""

    slots: tuple[int, ...] = (5, 16, -1, 0, 47, 31, 32, 12, -1, 20, 63, 3)
    num_heads: int = 3
    head_size: int = 32
    block_size: int = 16
    num_blocks: int = 4
    dtype: torch.dtype = torch.float32
    kv_cache_dtype: str = "auto"
    layout: str = "NHD"
    k_scale: float = 0.0371
    v_scale: float = 3e-3
    scale_per_head: bool = False
    spare_tokens: int = 2  # of key and value, past the last slot

    def __str__(self) -> str:
        default = FlashCase()
        changed = {n: v for n, v in self.__dict__.items() if v != getattr(default, n)}
        short = {n: len(v) if n == "slots" else v for n, v in changed.items()}
        return ",".join(f"{n}={v}" for n, v in short.items()).replace("torch.", "") or "default"


def as_layout(dense: torch.Tensor, layout: str) -> torch.Tensor:
    """An equal tensor [num_blocks, block_size, num_heads, head_size] of the memory layout."""
    if layout == "NHD":
        return dense
    view = dense.new_empty(dense.shape).view(dense.permute(0, 2, 1, 3).shape).permute(0, 2, 1, 3)
    tensors.bytes_of(view).copy_(tensors.bytes_of(dense))
    return view


def arguments_of(case: FlashCase, device: str) -> dict[str, Any]:
    """The arguments of reshape_and_cache_flash, by name and in order."""
    tokens = (len(case.slots) + case.spare_tokens, case.num_heads, case.head_size)
    stored = layouts.storage_dtype(case.kv_cache_dtype, case.dtype)
    shape = (case.num_blocks, case.block_size, case.num_heads, case.head_size)

    def scale(first: float) -> torch.Tensor:
        if case.scale_per_head:
            return first * (1.0 + 0.3 * torch.arange(case.num_heads))
        return torch.tensor(first)

    arguments = {
        "key": rows_of(tokens, case.dtype, seed=1),
        "value": rows_of(tokens, case.dtype, seed=2),
        "key_cache": noise(shape, stored, seed=3),
        "value_cache": noise(shape, stored, seed=4),
        "slot_mapping": torch.tensor(case.slots, dtype=torch.int64),
        "kv_cache_dtype": case.kv_cache_dtype,
        "k_scale": scale(case.k_scale),
        "v_scale": scale(case.v_scale),
    }
    moved = {n: v.to(device) if isinstance(v, torch.Tensor) else v for n, v in arguments.items()}
    for name in ("key_cache", "value_cache"):
        moved[name] = as_layout(moved[name], case.layout)
    return moved


def check(arguments: dict[str, Any]) -> None:
    """Runs reshape_and_cache_flash and compares every byte of both caches."""
    check_bytes(
        stablekv.reshape_and_cache_flash,
        reference_flash.reshape_and_cache_flash,
        arguments,
        written=["key_cache", "value_cache"],
    )
