"""Time of a call: by replay of a CUDA graph and by plain calls, on the CPU by the clock."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from stablekv.bench.work import Work, synchronize


@dataclass(frozen=True)
class Timing:
    """Microseconds a call."""

    median: float
    low: float  # one in ten is faster
    high: float  # one in ten is slower
    eager: float  # called one by one, without a graph
    host: float  # until an eager call returns


def time_work(work: Work, device: torch.device, seconds: float) -> Timing:
    """Times the calls of `work`, in turn, for about `seconds`."""
    for call in work.calls:  # all: the first touch of a buffer is slow
        call()
    synchronize(device)
    if device.type == "cpu":
        return _time_on_cpu(work.calls, seconds)
    with torch.cuda.device(device):
        eager, host = _time_eager(work.calls, device)
        if not work.graph:
            samples = [_time_eager(work.calls, device)[0] for _ in range(9)]
            return _timing(samples, eager, host)
        return _timing(_replay(work.calls, seconds), eager, host)


def _time_on_cpu(calls: list[Callable[[], object]], seconds: float) -> Timing:
    samples: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(samples) < 5:
        for call in calls:
            start = time.perf_counter()
            call()
            samples.append(1e6 * (time.perf_counter() - start))
    return _timing(samples, statistics.median(samples), statistics.median(samples))


def _replay(calls: list[Callable[[], object]], seconds: float) -> list[float]:
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for call in calls:
            call()
    graph.replay()
    samples: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(samples) < 5:
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        graph.replay()
        stop.record()
        stop.synchronize()
        samples.append(1e3 * start.elapsed_time(stop) / len(calls))
    return samples


def _time_eager(calls: list[Callable[[], object]], device: torch.device) -> tuple[float, float]:
    start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    synchronize(device)
    start.record()
    begin = time.perf_counter()
    for call in calls:
        call()
    host = 1e6 * (time.perf_counter() - begin) / len(calls)
    stop.record()
    stop.synchronize()
    return 1e3 * start.elapsed_time(stop) / len(calls), host


def _timing(samples: list[float], eager: float, host: float) -> Timing:
    ordered = sorted(samples)
    tenth = len(ordered) // 10
    return Timing(statistics.median(ordered), ordered[tenth], ordered[-1 - tenth], eager, host)
