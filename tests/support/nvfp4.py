"""Calls of reshape_and_cache_flash into nvfp4 caches: built, run, and compared."""

from __future__ import annotations

from functools import partial
from typing import Any

import stablekv
import torch
from stablekv import reference_nvfp4

from tests.support import flash
from tests.support.compare import check_bytes
from tests.support.flash import FlashCase
from tests.support.mla import noise

CASE = FlashCase(head_size=128, dtype=torch.bfloat16, k_scale=0.011, v_scale=3e-3)


def swizzles_values(device: str) -> bool:
    """Whether the scales of values are swizzled on a device."""
    return device == "cpu" or torch.cuda.get_device_capability()[0] != 12


def arguments_of(case: FlashCase, device: str) -> dict[str, Any]:
    """The arguments of a call into nvfp4 caches, which hold random bytes, for a FlashCase."""
    arguments = flash.arguments_of(case, device)
    shape = (case.num_blocks, case.block_size, case.num_heads, case.head_size // 16 * 9)
    for seed, name in enumerate(("key_cache", "value_cache"), start=3):
        dense = noise(shape, torch.uint8, seed=seed).to(device)
        arguments[name] = flash.as_layout(dense, case.layout)
    return {**arguments, "kv_cache_dtype": "nvfp4"}


def check(arguments: dict[str, Any]) -> None:
    """Runs a call and compares every byte of both caches."""
    swizzled = swizzles_values(arguments["key"].device.type)
    check_bytes(
        stablekv.reshape_and_cache_flash,
        partial(reference_nvfp4.reshape_and_cache_flash, swizzle_values=swizzled),
        arguments,
        written=["key_cache", "value_cache"],
    )
