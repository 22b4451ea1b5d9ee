"""A small KVCache, and whether a call has changed it."""

from __future__ import annotations

from typing import Any

import torch
from stablekv import KVCache

HEADS, SIZE = 2, 32

State = tuple[dict[int, tuple[int, list[int]]], int, list[torch.Tensor]]


def make(**more: Any) -> KVCache:
    """Two layers and six blocks of 8 tokens, but for `more`."""
    defaults = dict(num_layers=2, num_blocks=6, num_kv_heads=HEADS, head_size=SIZE, block_size=8)
    return KVCache(**{**defaults, **more})


def state(kv: KVCache) -> State:
    """All that a refused call must leave as it was."""
    lengths = {s: (q.length, list(q.blocks)) for s, q in kv._sequences.items()}
    tensors = [t.clone() for layer in range(kv.num_layers) for t in kv.tensors(layer)]
    return lengths, kv.num_free_blocks, tensors


def assert_unchanged(kv: KVCache, before: State) -> None:
    lengths, free, tensors = state(kv)
    assert (lengths, free) == before[:2]
    assert all(map(torch.equal, tensors, before[2]))
