"""Caches on the CPU ask for huge pages, as the kernel's list of mappings tells."""

import pathlib
import re
import warnings

import pytest
import torch
from stablekv import layouts
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

_HUGE_PAGES = pathlib.Path("/sys/kernel/mm/transparent_hugepage")


def _flags_at(address):
    """What Linux was told of the mapping that an address is in."""
    inside = False
    for line in pathlib.Path("/proc/self/smaps").read_text().splitlines():
        bounds = re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line)
        if bounds:
            inside = int(bounds[1], 16) <= address < int(bounds[2], 16)
        elif inside and line.startswith("VmFlags:"):
            return line.split()[1:]
    raise AssertionError(f"no mapping has {address:#x}")


def _cache(num_blocks):
    return layouts.allocate_cache(num_blocks, 8, 128, 16, dtype=torch.bfloat16)


@pytest.mark.skipif(not _HUGE_PAGES.exists(), reason="this Linux has no huge pages")
def test_a_large_cache_asks_for_huge_pages():
    for tensor in _cache(2048):
        assert "hg" in _flags_at(tensor.data_ptr() + tensor.nbytes // 2)
        assert not tensor.any()


def test_other_memory_does_not():
    """Of the same size, allocated as torch does."""
    other = torch.zeros(_cache(2048)[0].nbytes, dtype=torch.uint8)
    assert "hg" not in _flags_at(other.data_ptr() + other.nbytes // 2)


def test_a_small_cache_does_not():
    for tensor in _cache(2):
        assert "hg" not in _flags_at(tensor.data_ptr())
        assert not tensor.any()


def test_a_cache_of_no_blocks():
    assert all(tensor.numel() == 0 for tensor in _cache(0))


def test_a_fake_cache_has_no_memory_to_ask_for():
    with FakeTensorMode(), warnings.catch_warnings():
        warnings.simplefilter("error")
        for tensor in _cache(2048):
            assert isinstance(tensor, FakeTensor)
