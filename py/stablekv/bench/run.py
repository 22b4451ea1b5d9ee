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


def names(device: torch.device, pattern: str = "") -> list[str]:
    """The cases for a kind of device whose name `pattern` is found in."""
    return [case.name for case in _cases(device, pattern)]


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
        say: told what cannot be measured, and why: a case that the device has not the memory for,
            or a peer.

    Raises:
        WrongAnswer: this library computes something else than the reference.
    """
    for case in _cases(device, pattern):
        try:
            if isinstance(case, decode_cases.DecodeCase):
                yield from _measure_decode(case, device, with_peers, seconds, say)
            else:
                yield _measure_cache(case, device, seconds)
        except torch.OutOfMemoryError as error:
            say(f"{case.name} is left out: {_in_a_line(error)}")
        _free(device)


def _measure_cache(case: cache_cases.CacheCase, device: torch.device, seconds: float) -> Row:
    work = make_work(case, device)
    return _row(case.name, OURS, work, device, seconds, limit.copy_time(case.bytes, device))


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
            say(f"{case.name}: {name} is left out: {_in_a_line(error)}")
        else:
            yield row
        _free(device)


def _in_a_line(error: Exception) -> str:
    return " ".join([f"{type(error).__name__}:", *str(error).splitlines()[:1]])


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


def _cases(
    device: torch.device, pattern: str
) -> list[decode_cases.DecodeCase | cache_cases.CacheCase]:
    if device.type == "cuda":
        cases = [*decode_cases.GRID, *decode_cases.OTHERS, *cache_cases.cases()]
    else:
        cases = [*decode_cases.CPU, *(c for c in cache_cases.cases() if not c.only_cuda)]
    wanted = re.compile(pattern)
    return [case for case in cases if wanted.search(case.name)]


def _free(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
