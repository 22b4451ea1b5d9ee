"""Copies of blocks in plain torch: slow, obvious, and the oracle of the tests."""

from __future__ import annotations

import ctypes

import torch


def memory_of(tensor: torch.Tensor) -> torch.Tensor:
    """The bytes of a tensor without gaps, in the order of memory: a view, [nbytes] uint8."""
    begin = tensor.storage_offset() * tensor.element_size()
    memory = torch.empty(0, dtype=torch.uint8, device=tensor.device)
    return memory.set_(tensor.untyped_storage(), begin, (tensor.nbytes,), (1,))


def swap_blocks(
    src: torch.Tensor, dst: torch.Tensor, block_size_in_bytes: int, block_mapping: torch.Tensor
) -> None:
    """As stablekv.swap_blocks."""
    source, destination = memory_of(src), memory_of(dst)
    for s, d in block_mapping.tolist():
        block = source[s * block_size_in_bytes :][:block_size_in_bytes].clone()
        destination[d * block_size_in_bytes :][:block_size_in_bytes] = block


def swap_blocks_batch(
    src_ptrs: torch.Tensor,
    dst_ptrs: torch.Tensor,
    sizes: torch.Tensor,
    is_src_access_order_any: bool = False,
) -> None:
    """As stablekv.swap_blocks_batch, for addresses of the CPU."""
    del is_src_access_order_any
    rows = zip(src_ptrs.tolist(), dst_ptrs.tolist(), sizes.tolist(), strict=True)
    for source, destination, size in rows:
        ctypes.memmove(destination, source, size)
