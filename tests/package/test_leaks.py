"""Calls leave nothing behind: torch's own `str` arguments leak 48 bytes a call (pytorch#191340)."""

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


def _resident_bytes() -> int:
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def _check_flat(call, calls):
    def run(count):
        for _ in range(count):
            call()
        gc.collect()

    run(calls // 10)
    before = _resident_bytes()
    run(calls)
    grown = _resident_bytes() - before
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
    kept = []
    with pytest.raises(AssertionError, match="bytes more after 60000 calls"):
        _check_flat(lambda: kept.append(bytearray(_LEAST_LEAK)), 60_000)


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
