"""Copies of whole blocks between caches, on one device or between the CPU and a device."""

from __future__ import annotations

import torch

from stablekv import _library


def swap_blocks(
    src: torch.Tensor,
    dst: torch.Tensor,
    block_size_in_bytes: int,
    block_mapping: torch.Tensor,
) -> None:
    """Copies blocks of `src` to blocks of `dst`, in the order of the mapping.

    For each row (s, d) of `block_mapping`, with B = block_size_in_bytes and the memory of the
    tensors as bytes:

        dst[d * B : (d + 1) * B] = src[s * B : (s + 1) * B]

    A row sees what the rows before it wrote. Nothing else in `dst` changes. Within one CUDA device
    up to 250 blocks go by one kernel, unless a block is written twice, or read and written. Then,
    and between the CPU and a device, the driver copies one run of blocks after the other. Work is
    enqueued on the current stream of the CUDA device; with memory of the CPU that is not pinned the
    call may wait for it. Until it is done, keep memory of the CPU alive and unchanged.

    Args:
        src: any shape and strides without gaps between elements; float, integer, float8 or bool; on
            the CPU or a CUDA device.
        dst: as `src`, of any dtype; written. May share memory with `src`. Not on another CUDA
            device than `src`.
        block_size_in_bytes: bytes of a block, at least 1.
        block_mapping: [n, 2] int64 on the CPU, any strides: source and destination block numbers.

    Raises:
        RuntimeError: an argument is not as above, a block does not lie within its tensor, or the
            two blocks of a row share some of their memory but not all, before anything is copied.
            A copy failed.

    Source: the operator of vLLM of this name and schema, which copies block by block, checks no
    block number, and has no kernel for two tensors on the CPU.
    """
    _library.swap_blocks(src, dst, block_size_in_bytes, block_mapping)
