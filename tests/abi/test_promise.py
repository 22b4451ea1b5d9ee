"""The promise of the stable library, checked on the file that is shipped."""

from __future__ import annotations

import os
import pathlib

import pytest

from tools.abi import elf, promise, shim
from tools.abi.audit import audit

STABLE = pathlib.Path(os.environ["STABLEKV_STABLE_LIBRARY"])
CUDA = os.environ["STABLEKV_WITH_CUDA"] == "yes"


def library(name: str) -> pathlib.Path:
    return pathlib.Path(__file__).parent / f"{name}.so"


def violations(path: pathlib.Path) -> list[str]:
    return promise.violations(path, shim.of_build(), cuda=CUDA)


def test_the_shipped_library_keeps_the_promise():
    assert violations(STABLE) == []


def test_the_shipped_library_is_for_torch_2_10():
    result = audit(elf.read(STABLE), shim.of_build())
    assert (result.verdict, result.minimum_torch) == ("stable", (2, 10))


@pytest.mark.parametrize(
    ("name", "offence"),
    [
        ("newer_shim", "torch_stream_native_handle: first in torch 2.13, wanted 2.10"),
        ("unstable_symbol", "c10::Device::Device(std::__cxx11::basic_string<"),
        ("cuda_only", "aoti_torch_get_current_cuda_stream: not weak"),
        ("careless", "torch_not_in_the_shim: no function of the C shim"),
        ("careless", "stranger_of_no_library: nothing says which library"),
        ("careless", "stranger_that_may_be_missing: weak"),
        ("careless", "PyLong_FromLong: bound to CPython"),
        ("careless", "exported symbols has careless_extra_export"),
        ("careless", "a path of the build is in the file: '/root/"),
        ("careless", "DT_NEEDED has libc10.so"),
        ("careless", "DT_NEEDED lacks libm.so.6"),
        ("careless", "a search path is in the file: /somewhere"),
    ],
)
def test_a_broken_library_is_refused_by_name(name, offence):
    assert offence in "\n".join(violations(library(name)))


@pytest.mark.parametrize(("family", "lower"), [("GLIBC", (2, 17)), ("GLIBCXX", (3, 4, 19))])
def test_a_platform_that_is_too_old_is_named(family, lower):
    result = audit(elf.read(STABLE), {})
    assert result.above(promise.FLOORS) == []
    low = {**promise.FLOORS, family: lower}
    assert [str(offender).split("_")[0] for offender in result.above(low)] == [family]


def test_every_exception_has_its_reason():
    assert all(reason for reason in promise.WEAK.values())
