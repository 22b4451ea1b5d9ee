"""csrc/abi_ledger.json is what the built extensions are."""

from __future__ import annotations

import copy
import json
import os
import pathlib

import pytest

from tools.abi import ledger

WRITTEN = json.loads(pathlib.Path(os.environ["STABLEKV_ABI_LEDGER"]).read_text())


@pytest.fixture(scope="module")
def built() -> ledger.Ledger:
    names = ("STABLEKV_STABLE_LIBRARY", "STABLEKV_UNSTABLE_LIBRARY")
    return ledger.of(pathlib.Path(os.environ[name]) for name in names)


def test_the_ledger_is_up_to_date(built):
    lines = ledger.moved(WRITTEN, built)
    assert not lines, "\n".join(lines)


def test_the_stable_library_has_no_unstable_symbol(built):
    assert built["_C_stable_libtorch"]["unstable_symbols"] == []
    assert built["_C_stable_libtorch"]["operators"] != []


def test_a_rise_is_called_one_and_named(built):
    written = copy.deepcopy(built)
    name = written["_C"]["unstable_symbols"].pop()
    (line,) = ledger.moved(written, built)
    assert line.startswith("_C: more of what binds to one torch: unstable_symbols ")
    assert f"+{name}" in line and ledger.REFRESH in line


def test_a_fall_and_an_operator_are_stale(built):
    written = copy.deepcopy(built)
    written["_C"]["unstable_symbols"].append("c10::gone()")
    written["_C"]["operators"].append("gone")
    first, second = ledger.moved(written, built)
    assert first.startswith("_C: stale: unstable_symbols ") and "-c10::gone()" in first
    count = len(built["_C"]["operators"])
    assert second.startswith(f"_C: stale: operators {count + 1} -> {count}: -gone")


def test_an_extension_that_is_new_is_stale(built):
    written = {"_C": built["_C"]}
    (line,) = ledger.moved(written, built)
    assert line.startswith("_C_stable_libtorch: stale: operators 0 -> ")
