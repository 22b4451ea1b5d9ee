"""Measures cases, one after the other, and frees what each needed."""

from __future__ import annotations

import gc
import platform
import re
from collections.abc import Callable, Iterator

import torch

from stablekv.bench import cache_cases, decode, decode_cases, limit, peers
from stablekv.bench.cache_work import make_work
from stablekv.bench.results import Row
from stablekv.bench.timing import time_work
from stablekv.bench.work import Work

OURS = "stablekv"


def names(device: torch.device) -> list[str]:
    """Every case there is for a kind of device."""
    return [case.name for case in (*_decode_cases(device), *_cache_cases(device))]


def machine_of(device: torch.device) -> dict[str, str]:
    """What the figures were measured on."""
    facts = {"torch": torch.__version__, "python": platform.python_version()}
    if device.type == "cuda":
        facts["device"] = torch.cuda.get_device_name(device)
    else:
        facts["device"] = f"{platform.machine()} CPU, {torch.get_num_threads()} threads"
    facts["limit"] = limit.how_read(device)
    return facts


def measure(
    device: torch.device,
    pattern: str,
    with_peers: bool,
    seconds: float,
    say: Callable[[str], None] = lambda words: None,
) -> Iterator[Row]:
    """Rows of the cases whose name `pattern` is found in, in the order of the lists.

    Args:
        device: where.
        pattern: a regular expression.
        with_peers: whether to time others as well.
        seconds: to spend on each timing.
        say: told what cannot be measured, and why.

    Raises:
        WrongAnswer: this library computes something else than the reference.
    """
    wanted = re.compile(pattern)
    for case in _decode_cases(device):
        if wanted.search(case.name):
            yield from _measure_decode(case, device, with_peers, seconds, say)
    for case in _cache_cases(device):
        if wanted.search(case.name):
            work = make_work(case, device)
            yield _row(case.name, OURS, work, device, seconds, limit.copy_time(case.bytes, device))
            del work
            _free(device)


def _measure_decode(
    case: decode_cases.DecodeCase,
    device: torch.device,
    with_peers: bool,
    seconds: float,
    say: Callable[[str], None],
) -> Iterator[Row]:
    floor = limit.read_time(case.kv_bytes, device)
    _free(device)
    data = decode.make_data(case, device)
    yield _row(case.name, OURS, decode.stablekv_work(data), device, seconds, floor)
    for name, make in peers.peers_of(data).items() if with_peers else ():
        try:
            row = _row(case.name, name, make(), device, seconds, floor)
        except Exception as error:  # of somebody else's code, of any release: it may be any
            why = " ".join([f"{type(error).__name__}:", *str(error).splitlines()[:1]])
            say(f"{case.name}: {name} is left out: {why}")
        else:
            yield row
        _free(device)
    del data
    _free(device)


def _row(
    case: str, subject: str, work: Work, device: torch.device, seconds: float, floor: float
) -> Row:
    work.check()
    timing = time_work(work, device, seconds)
    return Row(
        case=case,
        subject=subject,
        bytes=work.bytes,
        limit=floor,
        median=timing.median,
        low=timing.low,
        high=timing.high,
        eager=timing.eager,
        host=timing.host,
    )


def _decode_cases(device: torch.device) -> list[decode_cases.DecodeCase]:
    if device.type == "cpu":
        return decode_cases.CPU
    return [*decode_cases.GRID, *decode_cases.OTHERS]


def _cache_cases(device: torch.device) -> list[cache_cases.CacheCase]:
    return [case for case in cache_cases.cases() if device.type == "cuda" or not case.only_cuda]


def _free(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
