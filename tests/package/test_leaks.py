"""Calls leave nothing behind: torch's own `str` arguments leak 48 bytes a call (pytorch#191340)."""

import ctypes
import gc
import pathlib
import resource

import pytest
import torch
from stablekv import _library

from tests.support import attention, cache
from tests.support.attention import AttentionCase
from tests.support.cache import CacheCase
from tests.support.operators import OPERATORS

_LEAST_LEAK = 48  # bytes a call of the leak that this looks for

_FIELDS = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks")


class _MallocInfo(ctypes.Structure):
    """struct mallinfo2 of glibc."""

    _fields_ = [(name, ctypes.c_size_t) for name in (*_FIELDS, "fordblks", "keepcost")]


_libc = ctypes.CDLL(None)
_libc.mallinfo2.restype = _MallocInfo
_libc.malloc.restype = ctypes.c_void_p
_libc.malloc.argtypes = [ctypes.c_size_t]
_libc.free.argtypes = [ctypes.c_void_p]


def _resident_bytes() -> int:
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def _allocated_bytes() -> int:
    """What malloc has given out: a leak that fits into what earlier tests have freed counts too."""
    info = _libc.mallinfo2()
    return info.uordblks + info.hblkhd


def _check_flat(call, calls):
    def run(count):
        for _ in range(count):
            call()
        gc.collect()

    run(calls // 10)
    resident, allocated = _resident_bytes(), _allocated_bytes()
    run(calls)
    grown = max(_resident_bytes() - resident, _allocated_bytes() - allocated)
    assert grown < calls * _LEAST_LEAK / 4, f"{grown} bytes more after {calls} calls"


def _overload(operator):
    return getattr(getattr(torch.ops, operator.namespace), operator.name).default


def _takes_text(operator):
    return any(str(argument.type) == "str" for argument in _overload(operator)._schema.arguments)


def test_a_million_calls():
    arguments = cache.arguments_of(CacheCase(slots=(3,), kv_cache_dtype="fp8_e4m3"), "cpu")
    values = tuple(arguments.values())
    _check_flat(lambda: _library.reshape_and_cache(*values), 1_000_000)


@pytest.mark.parametrize("operator", [*filter(_takes_text, OPERATORS)], ids=str)
def test_every_operator_with_a_text(operator):
    overload, values = _overload(operator), tuple(operator.build_empty("cpu").values())
    _check_flat(lambda: overload(*values), 60_000)


def test_a_leak_is_seen():
    holes = [_libc.malloc(100) for _ in range(200_000)]
    for i, hole in enumerate(holes):
        if i % 40:
            _libc.free(hole)
    with pytest.raises(AssertionError, match="bytes more after 60000 calls"):
        _check_flat(lambda: _libc.malloc(_LEAST_LEAK), 60_000)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_paged_attention(version):
    """With alibi_slopes, an optional tensor, which are handed over in another way."""
    case = AttentionCase(seq_lens=(2,), kv_cache_dtype="fp8_e4m3", alibi=True)
    arguments = attention.arguments_of(case, "cpu")
    if version == "v2":
        arguments = attention.with_scratch(arguments)
    values = tuple(arguments.values())
    operator = getattr(_library, f"paged_attention_{version}")
    _check_flat(lambda: operator(*values), 100_000)


@pytest.mark.parametrize("kv_cache_dtype", ["fp4", "a name of more than fifteen characters"])
def test_refused_calls(kv_cache_dtype):
    arguments = cache.arguments_of(CacheCase(), "cpu")
    values = tuple({**arguments, "kv_cache_dtype": kv_cache_dtype}.values())

    def refused():
        with torch.no_grad():
            try:
                _library.reshape_and_cache(*values)
            except RuntimeError:
                return
        raise AssertionError("not refused")

    _check_flat(refused, 60_000)
