"""Calls of swap_blocks_batch, on memory that lives as long as the tests."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import stablekv
import torch
from stablekv import reference_swap

BYTES = 1 << 20

# (offset in the source, offset in the destination, bytes)
Copies = Sequence[tuple[int, int, int]]
COPIES: Copies = ((0, 100, 8), (4096, 8192, 4096), (7, 50001, 333), (90000, 16, 0), (64, 64, 1))


@functools.cache
def memories(src: str, dst: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Random bytes to copy from and to; the CPU's are pinned where a device is to reach them."""
    random = torch.Generator().manual_seed(5)

    def noise(device: str) -> torch.Tensor:
        memory = torch.randint(0, 256, (BYTES,), dtype=torch.uint8, generator=random)
        pinned = device == "cpu" and "cuda" in (src, dst)
        return memory.pin_memory() if pinned else memory.to(device)

    return noise(src), noise(dst)


def arguments_of(copies: Copies, src: str, dst: str) -> dict[str, Any]:
    """The arguments of swap_blocks_batch, by name and in order."""
    source, destination = (memory.data_ptr() for memory in memories(src, dst))
    table = torch.tensor(copies, dtype=torch.int64).view(-1, 3)
    return {
        "src_ptrs": table[:, 0] + source,
        "dst_ptrs": table[:, 1] + destination,
        "sizes": table[:, 2].contiguous(),
        "is_src_access_order_any": False,
    }


def check(arguments: dict[str, Any], src: str, dst: str) -> None:
    """Runs the call on the memories of `src` and `dst`; both must be as the reference has them."""
    actual = memories(src, dst)
    expected = [memory.cpu().clone() for memory in actual]
    moved = dict(arguments)
    for name, memory, copy in zip(("src_ptrs", "dst_ptrs"), actual, expected, strict=True):
        moved[name] = arguments[name] - memory.data_ptr() + copy.data_ptr()
    reference_swap.swap_blocks_batch(**moved)

    before = {n: v.clone() for n, v in arguments.items() if isinstance(v, torch.Tensor)}
    stablekv.swap_blocks_batch(**arguments)
    if "cuda" in (src, dst):
        torch.cuda.synchronize()
    for memory, want in zip(actual, expected, strict=True):
        wrong = (memory.cpu() != want).nonzero()
        assert not len(wrong), f"{len(wrong)} bytes are off, the first at {wrong[0]}"
    assert all(torch.equal(arguments[name], tensor) for name, tensor in before.items())
