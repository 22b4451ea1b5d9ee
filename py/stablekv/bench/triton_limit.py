"""Triton kernels that read memory, or copy it, and do nothing else."""

from __future__ import annotations

from collections.abc import Callable

import torch
import triton
import triton.language as tl

_SHAPES = ((2048, 4, 16), (4096, 8, 8), (8192, 8, 4), (8192, 16, 2))  # block, warps, CTAs an SM


@triton.jit
def _read(source, sink, length, step, BLOCK: tl.constexpr):  # noqa: ANN001, ANN202
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    total = tl.zeros((BLOCK,), tl.int32)
    for start in range(0, length, step):
        total += tl.load(source + start + place, mask=start + place < length, other=0)
    # Never true of what is read, which the compiler cannot know.
    if tl.sum(total) == -1:
        tl.store(sink, 1)


@triton.jit
def _copy(source, target, length, step, BLOCK: tl.constexpr):  # noqa: ANN001, ANN202
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    for start in range(0, length, step):
        inside = start + place < length
        tl.store(target + start + place, tl.load(source + start + place, mask=inside), mask=inside)


def readers() -> list[Callable[[torch.Tensor], Callable[[], object]]]:
    """Each binds an int32 tensor to a call that reads all of it."""

    def bind(block: int, warps: int, per_sm: int, source: torch.Tensor) -> Callable[[], object]:
        sink = torch.zeros(1, dtype=torch.int32, device=source.device)
        grid = _grid(source, block, per_sm)
        return lambda: _read[(grid,)](
            source, sink, source.numel(), grid * block, BLOCK=block, num_warps=warps
        )

    return [lambda source, shape=shape: bind(*shape, source) for shape in _SHAPES]


def copiers() -> list[Callable[[torch.Tensor, torch.Tensor], object]]:
    """Each copies an int32 tensor to another."""

    def copy(
        block: int, warps: int, per_sm: int, source: torch.Tensor, target: torch.Tensor
    ) -> object:
        grid = _grid(source, block, per_sm)
        step = grid * block
        return _copy[(grid,)](source, target, source.numel(), step, BLOCK=block, num_warps=warps)

    return [lambda source, target, shape=shape: copy(*shape, source, target) for shape in _SHAPES]


def _grid(source: torch.Tensor, block: int, per_sm: int) -> int:
    sms = torch.cuda.get_device_properties(source.device).multi_processor_count
    return max(1, min(sms * per_sm, source.numel() // block))
