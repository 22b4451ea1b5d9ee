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

    A row sees what the rows before it wrote. Nothing else in `dst` changes. Within one CUDA device,
    and between a device and pinned memory of the CPU where the runs of neighbouring blocks are
    short, a kernel moves them, 2000 a launch, unless a block is written twice, or read and written.
    Then, and for all else between the CPU and a device, the driver copies one run of blocks after
    the other. Work is enqueued on the current stream of the CUDA device; with memory of the CPU
    that is not pinned the call may wait for it. Until it is done, keep memory of the CPU alive and
    unchanged.

    Args:
        src: any shape and strides without gaps between elements; any dtype but float8_e8m0fnu and
            those of parts of a byte; on the CPU or a CUDA device.
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


def swap_blocks_batch(
    src_ptrs: torch.Tensor,
    dst_ptrs: torch.Tensor,
    sizes: torch.Tensor,
    is_src_access_order_any: bool = False,
) -> None:
    """Copies sizes[i] bytes from the address src_ptrs[i] to the address dst_ptrs[i], for every i.

    The copies are independent: none may write what another reads or writes, and their order is not
    defined. With CUDA they are enqueued on the current stream of the current device, by the
    driver's batch copy, 8192 at a time, or one by one where the driver has none or refuses: on the
    legacy default stream, and while a graph is captured. Addresses are then those of any CUDA
    device and of the CPU; keep the memory alive and its sources unchanged until the work is done.
    Without a CUDA device, addresses are the CPU's, and the call copies before it returns.

    The schema says nothing of the memory behind the addresses. Compiled code keeps the call, and
    its place among others that have effects, but does not know which tensors it reads and writes.

    Args:
        src_ptrs: [n] int64 on the CPU, any stride: addresses as of torch.Tensor.data_ptr.
        dst_ptrs: as `src_ptrs`; the memory there is written.
        sizes: [n] int64 on the CPU, any stride: bytes. A copy of 0 bytes is skipped, whatever its
            addresses; so is a copy of memory to itself.
        is_src_access_order_any: sources may be read before work enqueued earlier is done.

    Raises:
        RuntimeError: an argument is not as above; a size is negative; an address of more than 0
            bytes is not above 0; source and destination of a copy overlap; all before anything is
            copied. The driver refuses a copy; those before it may have been made.

    Source: the operator of vLLM of this name and schema, in its later form that works on the
    default stream.
    """
    _library.swap_blocks_batch(src_ptrs, dst_ptrs, sizes, is_src_access_order_any)
