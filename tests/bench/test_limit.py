"""The limit of a time is that of the same bytes, not of more, scaled down."""

import types

import pytest
import torch
from stablekv.bench import limit

_CPU = torch.device("cpu")


@pytest.fixture
def measured(monkeypatch):
    """The bytes of what is timed; every time is 7 us."""
    lengths = []

    def time_work(work, device, seconds):
        lengths.append(work.bytes)
        return types.SimpleNamespace(median=7.0)

    monkeypatch.setattr(limit, "time_work", time_work)
    for function in (limit.read_time, limit.copy_time):
        function.cache_clear()
    yield lengths
    for function in (limit.read_time, limit.copy_time):
        function.cache_clear()


@pytest.mark.parametrize("num_bytes", [1, 8, 4096, 4100, 1 << 20])
def test_as_many_bytes_are_read(num_bytes, measured):
    assert limit.read_time(num_bytes, _CPU) == 7.0
    assert set(measured) == {-(-num_bytes // 8) * 8}


@pytest.mark.parametrize("num_bytes", [2, 16, 4096, 8200])
def test_half_as_many_bytes_are_copied(num_bytes, measured):
    """Reads and writes are `num_bytes` together."""
    assert limit.copy_time(num_bytes, _CPU) == 7.0
    assert set(measured) == {-(-num_bytes // 16) * 8}


def test_the_best_way_counts(measured, monkeypatch):
    times = iter((9.0, 5.0, 8.0))
    monkeypatch.setattr(
        limit, "time_work", lambda *arguments: types.SimpleNamespace(median=next(times))
    )
    assert limit.read_time(4096, _CPU) == 5.0
