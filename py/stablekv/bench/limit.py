"""The limit of a time: the same bytes, only read or only copied, in the same run."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch

from stablekv.bench.timing import time_work
from stablekv.bench.work import Work, copies_for

_SECONDS = 0.1
_GRAIN = 8  # bytes that lengths are rounded up to


@functools.cache
def read_time(num_bytes: int, device: torch.device) -> float:
    """Microseconds to read `num_bytes` that are in no cache: the best of several ways to do it."""
    return _best(num_bytes, device, _readers(device))


@functools.cache
def copy_time(num_bytes: int, device: torch.device) -> float:
    """Microseconds to copy so much that reads and writes are `num_bytes` together."""
    ways = [lambda source, target: target.copy_(source)]
    if device.type == "cuda" and (copiers := _triton("copiers")):
        ways += copiers
    half = -(-num_bytes // 2)

    def copiers_of(way: Callable) -> Callable[[torch.Tensor], Callable[[], object]]:
        def bind(source: torch.Tensor) -> Callable[[], object]:
            target = torch.empty_like(source)
            return lambda: way(source, target)

        return bind

    return _best(half, device, [copiers_of(way) for way in ways])


def how_read(device: torch.device) -> str:
    """In words, what the limit is made of."""
    if device.type == "cuda" and _triton("readers"):
        return "the best of torch.sum and Triton kernels that only read"
    return "the best of torch.sum and torch.amax"


def _best(num_bytes: int, device: torch.device, ways: list[Callable]) -> float:
    length = -(-num_bytes // _GRAIN) * _GRAIN
    sources = [
        torch.ones(length // _GRAIN, dtype=torch.int64, device=device).view(torch.int32)
        for _ in range(copies_for(length, device))
    ]
    times = []
    for bind in ways:
        work = Work([bind(source) for source in sources], length, lambda: None)
        times.append(time_work(work, device, _SECONDS).median)
    return min(times)


def _readers(device: torch.device) -> list[Callable]:
    readers: list[Callable] = [
        lambda source: functools.partial(torch.sum, source.view(torch.float32)),
        lambda source: functools.partial(torch.sum, source.view(torch.int64)),
        lambda source: functools.partial(torch.amax, source.view(torch.float32), 0),
    ]
    if device.type == "cuda" and (more := _triton("readers")):
        readers += more
    return readers


def _triton(what: str) -> list[Callable]:
    try:
        from stablekv.bench import triton_limit
    except ImportError:
        return []
    return getattr(triton_limit, what)()
