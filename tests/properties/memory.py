"""Drawn places in memory for the tensors of a call: as rows of the table of operators allow."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import strategies as st
from stablekv import layouts

from tests.support import tensors
from tests.support.contract import CACHE, Operator, Row

_CACHES = ("key_cache", "value_cache")
_GAPS = st.sampled_from((0, 0, 0, 1, 2, 5))
_OFFSETS = st.sampled_from((0, 0, 1, 2, 3, 7))  # elements: an odd one leaves only their alignment


def moved(draw: st.DrawFn, operator: Operator, arguments: dict[str, Any]) -> dict[str, Any]:
    """The same call with its tensors in poisoned memory, at drawn strides and offsets.

    Each has memory of its own, but for keys and values of a cache, which may share a buffer.
    """
    rows = {row.name: row for row in operator.rows}
    call = dict(arguments)
    for name, value in arguments.items():
        if isinstance(value, torch.Tensor):
            call[name] = placed(draw, _retyped(draw, rows[name], value, call), rows[name].gaps)
    if "value_cache" in rows and draw(st.booleans()):
        caches = [arguments[name] for name in _CACHES]
        call.update(zip(_CACHES, _interleaved(draw, caches, rows["value_cache"].gaps), strict=True))
    return call


def placed(draw: st.DrawFn, tensor: torch.Tensor, gaps: int) -> torch.Tensor:
    """An equal tensor: the first `gaps` dimensions in a drawn order, each with a drawn gap.

    The rest is within them, without gaps and in the order that it has.
    """
    strides = [0] * tensor.dim()
    outer = draw(st.permutations(range(gaps))) if gaps > 1 else list(range(gaps))
    length = 1
    for dim in [*reversed(_by_stride(tensor, gaps)), *outer]:
        size = tensor.shape[dim]
        strides[dim] = length
        if dim < gaps:
            strides[dim] += draw(_GAPS)
            if size == 1 and draw(st.booleans()):
                strides[dim] = draw(st.integers(0, 3))  # of no consequence
                continue
        length = strides[dim] * max(size, 1)
    offset = draw(_OFFSETS)
    memory = tensors.poisoned((offset + length + draw(_GAPS),), tensor.dtype, tensor.device.type)
    view = memory.as_strided(tensor.shape, strides, offset)
    tensors.bytes_of(view).copy_(tensors.bytes_of(tensor))
    return view


def _by_stride(tensor: torch.Tensor, first: int) -> list[int]:
    """The dimensions from `first` on, the outermost of the memory first."""
    return sorted(range(first, tensor.dim()), key=tensor.stride, reverse=True)


def _interleaved(draw: st.DrawFn, caches: list[torch.Tensor], gaps: int) -> list[torch.Tensor]:
    """Both caches in one buffer, side by side along a drawn dimension."""
    rows = [tensors.bytes_of(cache) for cache in caches]
    if rows[0].shape != rows[1].shape:  # then by whole blocks
        rows, gaps = [row.flatten(1) for row in rows], 1
    order = [*range(gaps), *_by_stride(rows[0], gaps)]
    axis = draw(st.integers(0, gaps))
    buffer = placed(draw, torch.stack([row.permute(order) for row in rows], axis), gaps + 1)
    halves = [half.permute(_inverse(order)) for half in buffer.unbind(axis)]
    pairs = zip(halves, caches, strict=True)
    return [half.view(cache.dtype).view(cache.shape) for half, cache in pairs]


def _inverse(order: list[int]) -> list[int]:
    return [order.index(dim) for dim in range(len(order))]


def _retyped(draw: st.DrawFn, row: Row, tensor: torch.Tensor, call: dict[str, Any]) -> torch.Tensor:
    """The tensor, or its bytes as the float8 dtype that the row takes as well."""
    if tensor.dtype != torch.uint8:
        return tensor
    other = None
    if row.dtype == CACHE:
        other = layouts.FP8_FORMATS.get(call["kv_cache_dtype"])
    elif isinstance(row.dtype, tuple) and torch.float8_e4m3fn in row.dtype:
        other = torch.float8_e4m3fn
    return tensor.view(other) if other and draw(st.booleans()) else tensor
