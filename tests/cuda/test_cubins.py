"""A library holds code for the GPUs that were asked for, and for no other."""

import collections
import json
import os
import pathlib
import re
import subprocess

import pytest

# Every library of tests/cuda/BUILD.bazel: its file and the file of what was asked for.
_LIBRARIES = dict(
    entry.split("=", 1) for entry in os.environ["STABLEKV_CUDA_LIBRARIES"].split() if entry
)


def codes_in(library):
    """Counts the pieces of code by architecture: machine code `sm_90a`, PTX `compute_90a`."""
    found = collections.Counter()
    for option, name in (("--list-elf", "sm"), ("--list-ptx", "compute")):
        command = [os.environ["STABLEKV_CUOBJDUMP"], option, library]
        done = subprocess.run(command, capture_output=True, text=True)
        # One line a piece: `ELF file    1: library.1.sm_90a.cubin`.
        found.update(
            f"{name}_{arch}"
            for arch in re.findall(r"\.sm_(\d+[af]?)\.(?:cubin|ptx)$", done.stdout, re.MULTILINE)
        )
        if done.returncode and "does not contain device code" not in done.stderr:
            raise AssertionError(f"{command}: {done.stderr}")
    return found


@pytest.mark.parametrize("library", _LIBRARIES)
def test_the_code_is_what_was_asked_for(library):
    wanted = json.loads(pathlib.Path(_LIBRARIES[library]).read_text())
    found = codes_in(library)
    # cuobjdump names code for a family (sm_100f) by the family's number.
    assert sorted(found) == sorted(code.rstrip("f") for code in wanted)
    # Every source was compiled for all of them.
    assert len(set(found.values())) == 1, found


def test_a_library_without_code_has_none():
    """The reader itself: what has no device code does not count as right for any request."""
    assert not codes_in(os.environ["STABLEKV_HOST_LIBRARY"])
