"""Calls of reshape_and_cache: built from a description, run, and compared with the reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import stablekv
import torch
from stablekv import layouts, reference

from tests.support.compare import check_bytes


@dataclass(frozen=True)
class CacheCase:
    """What a call looks like. Caches hold random bytes, so that a store too many shows."""

    slots: tuple[int, ...] = (5, 16, 0, -1, 47, 31)
    num_heads: int = 3
    head_size: int = 32
    block_size: int = 16
    num_blocks: int = 4
    dtype: torch.dtype = torch.float32
    kv_cache_dtype: str = "auto"
    k_scale: float = 0.0371
    v_scale: float = 3e-3
    spare_tokens: int = 2  # of key and value, past the last slot

    def __str__(self) -> str:
        default = CacheCase()
        changed = {n: v for n, v in self.__dict__.items() if v != getattr(default, n)}
        short = {n: len(v) if n == "slots" else v for n, v in changed.items()}
        return ",".join(f"{n}={v}" for n, v in short.items()).replace("torch.", "") or "default"


# Values that a store into fp8 must get right: ties, subnormals, saturation, zeros, not-a-numbers.
def special_values(dtype: torch.dtype) -> torch.Tensor:
    inf, nan = float("inf"), float("nan")
    values = [0.0, -0.0, inf, -inf, nan, -nan, 448.0, 464.0, 480.0, 57344.0, 61440.0, 65504.0]
    values += [
        sign * 2.0**-k * step
        for sign in (1, -1)
        for k in (6, 9, 10, 16, 17, 18, 24)
        for step in (1.0, 1.125, 1.25, 1.5, 1.75)
    ]
    return torch.tensor(values).to(dtype)


def arguments_of(case: CacheCase, device: str, seed: int = 0) -> dict[str, Any]:
    """The arguments of reshape_and_cache, by name and in order."""
    random = torch.Generator().manual_seed(seed)
    tokens = (len(case.slots) + case.spare_tokens, case.num_heads, case.head_size)
    stored = layouts.storage_dtype(case.kv_cache_dtype, case.dtype)
    heads = (case.num_blocks, case.num_heads, case.head_size, case.block_size)

    def source(scale: float) -> torch.Tensor:
        spread = torch.exp2(torch.randint(-12, 12, tokens, generator=random).float())
        values = (torch.randn(tokens, generator=random) * spread * scale).to(case.dtype)
        flat, special = values.view(-1), special_values(case.dtype)
        places = torch.randperm(flat.numel(), generator=random)[: len(special)]
        flat[places] = special[: len(places)]
        return values

    def cache(shape: tuple[int, ...]) -> torch.Tensor:
        empty = torch.empty(shape, dtype=stored)
        noise = torch.randint(0, 256, (empty.nbytes,), dtype=torch.uint8, generator=random)
        return noise.view(stored).view(shape)

    arguments = {
        "key": source(case.k_scale),
        "value": source(case.v_scale),
        "key_cache": cache(layouts.key_cache_shape(*heads, stored)),
        "value_cache": cache(layouts.value_cache_shape(*heads)),
        "slot_mapping": torch.tensor(case.slots, dtype=torch.int64),
        "kv_cache_dtype": case.kv_cache_dtype,
        "k_scale": torch.tensor(case.k_scale),
        "v_scale": torch.tensor(case.v_scale),
    }
    return {n: v.to(device) if isinstance(v, torch.Tensor) else v for n, v in arguments.items()}


def check(arguments: dict[str, Any]) -> None:
    """Runs reshape_and_cache; every byte of both caches must be as the reference has it.

    Nothing else may change, nor what lies between the elements of the caches.
    """
    check_bytes(
        stablekv.reshape_and_cache,
        reference.reshape_and_cache,
        arguments,
        written=["key_cache", "value_cache"],
    )
