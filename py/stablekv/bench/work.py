"""What a benchmark times: calls on buffers of their own, and the check of their answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

# Bytes that calls rotate through, so that none finds its data in a cache: far more than the level-2
# cache of a GPU, or the last-level cache of a CPU.
COLD_BYTES = {"cuda": 768 << 20, "cpu": 512 << 20}
MAX_COPIES = 512


class WrongAnswer(Exception):
    """An operator, or a peer, does not compute what it should: it is not timed."""


@dataclass(frozen=True)
class Work:
    """Calls of one operator on the same problem, each on buffers of its own."""

    calls: list[Callable[[], object]]
    bytes: int  # that a call has to move at least
    check: Callable[[], None]  # raises WrongAnswer
    graph: bool = True  # whether a CUDA graph can hold the calls


def copies_for(num_bytes: int, device: torch.device) -> int:
    """How many buffers of `num_bytes` make a rotation that no cache holds.

    At most MAX_COPIES: a GPU's level-2 cache may hold those of less than 100 KB.
    """
    return max(1, min(MAX_COPIES, -(-COLD_BYTES[device.type] // max(num_bytes, 1))))


def synchronize(device: torch.device) -> None:
    """Waits until the device has done what was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
