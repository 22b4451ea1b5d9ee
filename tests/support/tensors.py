"""Tensors for tests: poison, gaps between elements, and comparison to the last byte."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import torch

# A byte that makes NaN of every float dtype, fp8 in uint8 included, and -1 of every integer.
POISON = 0xFF


def poisoned(shape: tuple[int, ...], dtype: torch.dtype, device: str) -> torch.Tensor:
    """A tensor that holds nothing but POISON."""
    tensor = torch.empty(shape, dtype=dtype, device=device)
    torch.empty(0, dtype=torch.uint8, device=device).set_(tensor.untyped_storage()).fill_(POISON)
    return tensor


def with_gaps(tensor: torch.Tensor, dim: int) -> torch.Tensor:
    """An equal tensor that has a poisoned gap after every element of one dimension."""
    shape = list(tensor.shape)
    shape[dim] *= 2
    wide = poisoned(tuple(shape), tensor.dtype, tensor.device.type)
    view = wide[(slice(None),) * dim + (slice(None, None, 2),)]
    bytes_of(view).copy_(bytes_of(tensor))
    return view


def longer(tensor: torch.Tensor, dim: int, extra: int) -> torch.Tensor:
    """A tensor that continues in poison for `extra` elements of one dimension."""
    shape = list(tensor.shape)
    shape[dim] += extra
    more = poisoned(tuple(shape), tensor.dtype, tensor.device.type)
    bytes_of(more.narrow(dim, 0, tensor.shape[dim])).copy_(bytes_of(tensor))
    return more


def shifted(tensor: torch.Tensor, elements: int) -> torch.Tensor:
    """An equal contiguous tensor that begins some elements into its memory, which is poisoned."""
    flat = poisoned((tensor.numel() + elements,), tensor.dtype, tensor.device.type)
    view = flat[elements:].view(tensor.shape)
    bytes_of(view).copy_(bytes_of(tensor))
    return view


def share_memory(arguments: dict[str, Any], *names: str) -> None:
    """Puts the smallest of these tensors where the largest one begins."""
    small, large = sorted(names, key=lambda name: arguments[name].nbytes)
    memory = arguments[large].contiguous().flatten().view(torch.uint8)
    inner = memory[: arguments[small].nbytes]
    inner.copy_(arguments[small].contiguous().flatten().view(torch.uint8))
    for name, part in ((large, memory), (small, inner)):
        arguments[name] = part.view(arguments[name].dtype).view(arguments[name].shape)


@contextlib.contextmanager
def far_apart(tensor: torch.Tensor) -> Iterator[torch.Tensor]:
    """An equal tensor whose last row begins 2^31 elements after the first, 8 GiB at the most.

    What lies between is never touched: the CPU has no memory behind it. A device has, so that
    processes that share one wait for each other here. Rows begin at multiples of 64 elements, as
    aligned as any kernel wants them.
    """
    elements = min(2**31, 2**33 // tensor.element_size())
    pitch = 64 * (elements // (64 * (tensor.shape[0] - 1)) + 1)
    inner = zip(tensor.shape[1:], tensor.stride()[1:], strict=True)
    last_row = 1 + sum((size - 1) * stride for size, stride in inner)
    memory = _large((tensor.shape[0] - 1) * pitch + last_row, tensor)
    view = memory.as_strided(tensor.shape, (pitch, *tensor.stride()[1:]))
    bytes_of(view).copy_(bytes_of(tensor))
    try:
        yield view
    finally:
        memory.untyped_storage().resize_(0)
        if tensor.is_cuda:
            torch.cuda.empty_cache()


def _large(elements: int, like: torch.Tensor) -> torch.Tensor:
    for _ in range(120):
        try:
            return like.new_empty(elements)
        except torch.cuda.OutOfMemoryError:
            torch.cuda.empty_cache()
            time.sleep(0.5)
    return like.new_empty(elements)


def bytes_of(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor's memory as integers of its element's size: equal exactly when the bytes are."""
    integers = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    return tensor.view(integers[tensor.element_size()])


def snapshot(arguments: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """A copy of the whole memory behind each tensor, also of what lies between its elements."""
    return {
        name: _memory(value).clone()
        for name, value in arguments.items()
        if isinstance(value, torch.Tensor) and value.device.type != "meta"
    }


def changed(
    before: Mapping[str, torch.Tensor], arguments: Mapping[str, Any], but: Collection[str] = ()
) -> list[str]:
    """The names of tensors whose memory is not that of the snapshot.

    The elements of those named in `but` may have changed; what lies between them may not.
    """
    names = []
    for name, old in before.items():
        expected = old.clone()
        for written in but:
            tensor = arguments[written]
            if tensor.untyped_storage().data_ptr() == _memory(arguments[name]).data_ptr():
                integers = bytes_of(tensor)
                elements = expected.view(integers.dtype)
                place = (integers.shape, integers.stride(), integers.storage_offset())
                elements.as_strided(*place).copy_(integers)
        if not torch.equal(expected, _memory(arguments[name])):
            names.append(name)
    return names


def _memory(tensor: torch.Tensor) -> torch.Tensor:
    memory = torch.empty(0, dtype=torch.uint8, device=tensor.device)
    return memory.set_(tensor.untyped_storage())
