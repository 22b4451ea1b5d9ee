"""Libraries with operators of the same names in one process: each case in a process of its own."""

from __future__ import annotations

import os
import shutil
import signal

import pytest
from stablekv import _library

from tests.support.processes import check_python, run_python

OURS = str(_library.PATH)
OWN = os.path.abspath(os.environ["STABLEKV_OWN_NAMESPACES"])
STRANGERS = {
    "stable": os.path.abspath(os.environ["STABLEKV_STRANGER"]),
    "aten": os.path.abspath(os.environ["STABLEKV_ATEN_STRANGER"]),
}
each_stranger = pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS)

_HEAD = """
import sys
import torch

def load(path):
    torch.ops.load_library(path)

def import_and_print():
    try:
        import stablekv
    except ImportError as error:
        print("ImportError:", error)
    else:
        print("imported")

def use():
    import stablekv
    kv = stablekv.KVCache(num_layers=1, num_blocks=1, num_kv_heads=1, head_size=32)
    one = torch.ones(1, 1, 32)
    batch = kv.append([kv.add()])
    kv.write(0, one, one, batch)
    assert torch.equal(kv.attend(0, one, batch), one)

def use_stranger():
    torch.ops._C.paged_attention_v2(torch.ones(1))
    print("the stranger works")
"""


def ours(code: str) -> str:
    return check_python(_HEAD + code, STABLEKV_LIBRARY=OURS)


@each_stranger
def test_after_a_stranger_the_import_is_refused_and_the_stranger_works(stranger):
    printed = ours(f"load({stranger!r}); import_and_print(); use_stranger()")
    assert printed.startswith("ImportError: stablekv: cannot load")
    assert "_C::paged_attention_v2 already registered" in printed
    assert "--@stablekv//csrc:namespace" in printed
    assert printed.endswith("the stranger works\n")


@each_stranger
def test_loaded_by_hand_after_a_stranger_nothing_is_registered(stranger):
    """Without the package, nobody looks first: the library takes back what it has registered."""
    done = run_python(
        _HEAD
        + f"""
load({stranger!r})
load({OURS!r})
print(hasattr(torch.ops._C, "paged_attention_v1"))
print(hasattr(torch.ops._C_cache_ops, "reshape_and_cache"))
import_and_print()
use_stranger()
""",
        STABLEKV_LIBRARY=OURS,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:2] == ["False", "False"]
    assert lines[2].startswith("ImportError: stablekv: cannot load")
    assert "_C::paged_attention_v2 already registered" in lines[2]
    assert lines[3] == "the stranger works"
    (line,) = done.stderr.splitlines()
    assert line.startswith("stablekv: torch refuses the operators of _C (")


def test_a_second_copy_loaded_by_hand_leaves_the_first_as_it_is(tmp_path):
    copy = tmp_path / "copy.so"
    shutil.copy(OURS, copy)
    done = run_python(
        _HEAD + f"use(); load({str(copy)!r}); use(); print('works')", STABLEKV_LIBRARY=OURS
    )
    assert (done.returncode, done.stdout) == (0, "works\n"), done.stderr


@each_stranger
@pytest.mark.parametrize("first", ["ours", "stranger"])
def test_namespaces_of_its_own_live_beside_a_stranger(stranger, first):
    steps = ["use()", f"load({stranger!r})"]
    if first == "stranger":
        steps.reverse()
    code = "; ".join([*steps, "use()", "use_stranger()"])
    assert check_python(_HEAD + code, STABLEKV_LIBRARY=OWN) == "the stranger works\n"


@pytest.mark.parametrize("order", [(OURS, OWN), (OWN, OURS)], ids=["ours-own", "own-ours"])
def test_two_builds_live_beside_each_other(order):
    first, second = order
    spaces = {OURS: ("_C", "_C_cache_ops"), OWN: ("stablekv_test", "stablekv_test_cache")}
    attention, cache = spaces[first]
    printed = check_python(
        _HEAD
        + f"""
use()
load({second!r})
use()
from stablekv import _operators
assert set(_operators.OPERATORS) == {{{attention!r}, {cache!r}}}
for space in ("_C_cache_ops", "stablekv_test_cache"):
    half = dict(dtype=torch.bfloat16)
    out = torch.zeros(1, 2, 576, **half)
    operator = getattr(torch.ops, space).concat_mla_q
    operator(torch.ones(1, 2, 512, **half), torch.ones(1, 2, 64, **half), out)
    assert bool(out.all()), space
print("works")
""",
        STABLEKV_LIBRARY=first,
    )
    assert printed == "works\n"


@each_stranger
def test_a_stranger_that_comes_after_us_is_not_in_our_hands(stranger):
    """It does not look first, and torch throws in its static initializer: docs/abi.md says so.

    If this fails because the process lives, torch or the headers have become kinder: say so there.
    """
    no_core = "import resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); "
    done = run_python(
        _HEAD + no_core + f"use(); load({stranger!r}); print('lives')", STABLEKV_LIBRARY=OURS
    )
    assert done.returncode == -signal.SIGABRT
    assert "lives" not in done.stdout
    assert "terminate called after throwing" in done.stderr
