"""Calls of swap_blocks: built from a description, run, and compared with the reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import stablekv
import torch
from stablekv import reference_swap

from tests.support import tensors


@dataclass(frozen=True)
class SwapCase:
    """What a call looks like. Both tensors hold random bytes and are [blocks, block_bytes]."""

    mapping: tuple[tuple[int, int], ...] = ((0, 6), (5, 0), (3, 2), (3, 3))
    src_blocks: int = 6
    dst_blocks: int = 7
    block_bytes: int = 64


def arguments_of(case: SwapCase, src: str, dst: str, seed: int = 0) -> dict[str, Any]:
    """The arguments of swap_blocks, by name and in order, for tensors on two devices.

    "pinned" is the CPU, with memory that a device reaches by itself.
    """
    random = torch.Generator().manual_seed(seed)

    def noise(count: int, device: str) -> torch.Tensor:
        shape = (count, case.block_bytes)
        blocks = torch.randint(0, 256, shape, dtype=torch.uint8, generator=random)
        return blocks.pin_memory() if device == "pinned" else blocks.to(device)

    return {
        "src": noise(case.src_blocks, src),
        "dst": noise(case.dst_blocks, dst),
        "block_size_in_bytes": case.block_bytes,
        "block_mapping": torch.tensor(case.mapping, dtype=torch.int64).view(-1, 2),
    }


def check(arguments: dict[str, Any]) -> None:
    """Runs swap_blocks; all memory behind both tensors must be as the reference leaves it."""
    expected, memories = dict(arguments), {}
    for name in ("src", "dst"):
        tensor = arguments[name]
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in memories:
            memories[storage.data_ptr()] = (storage, storage.cpu().clone())
        copy = memories[storage.data_ptr()][1]
        place = (tensor.storage_offset(), tensor.shape, tensor.stride())
        expected[name] = torch.empty(0, dtype=tensor.dtype).set_(copy, *place)
    reference_swap.swap_blocks(**expected)

    mapping = tensors.snapshot({"block_mapping": arguments["block_mapping"]})
    stablekv.swap_blocks(**arguments)
    if any(arguments[name].is_cuda for name in ("src", "dst")):
        torch.cuda.synchronize()  # reading pinned memory waits for nothing
    for storage, copy in memories.values():
        got, want = (torch.empty(0, dtype=torch.uint8).set_(s) for s in (storage.cpu(), copy))
        wrong = (got != want).nonzero()
        assert not len(wrong), f"{len(wrong)} bytes are off, the first at {wrong[0]}"
    assert not tensors.changed(mapping, arguments)
