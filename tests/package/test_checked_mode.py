"""STABLEKV_CHECK_BOUNDS=1: CUDA refuses what the CPU does, with the same words."""

import functools
import json

import pytest
import torch

from tests.support import checked, contract
from tests.support.devices import each_device, on_cuda
from tests.support.operators import OPERATORS
from tests.support.processes import run_python

_BAD = [name for name, _, _ in checked.out_of_range()]
_GOOD = [name for name, _, _ in checked.good()]

each_bad_call = pytest.mark.parametrize("name", _BAD)
each_good_call = pytest.mark.parametrize("name", _GOOD)


@functools.cache
def _outcomes(device: str, mode: str) -> checked.Outcomes:
    """Those of a process that has `mode` as its STABLEKV_CHECK_BOUNDS."""
    code = f"""
        import json
        from tests.support import checked
        print(json.dumps(checked.outcomes({device!r})))
        """
    done = run_python(code, STABLEKV_CHECK_BOUNDS=mode)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_operator_that_reads_indices_has_a_bad_call():
    """Tensors of integers that are no caches, and are not on the CPU whatever the device is."""
    indices = (torch.int32, torch.int64)
    reads = {
        str(operator)
        for operator in OPERATORS
        for row in contract.rows_of(operator, checked.VARIANTS[0])
        if row.dtype in indices and not row.written and row.home == "call"
    }
    assert reads == {str(operator) for _, operator, _ in checked.out_of_range()}
    assert len(reads) >= 10


@each_device
@each_bad_call
def test_a_value_out_of_range_is_refused_and_nothing_written(name, device):
    message, changed = _outcomes(device, "1")["refused"][name]
    want, _ = _outcomes("cpu", "0")["refused"][name]
    assert message == want
    assert message is not None and message.startswith(name.split("-")[0] + ": ")
    assert changed == []


@each_device
@each_good_call
def test_a_good_call_writes_the_same_bytes(name, device):
    worked = _outcomes(device, "1")["worked"][name]
    assert worked == _outcomes(device, "0")["worked"][name]


@on_cuda
@each_bad_call
def test_without_it_cuda_says_nothing(name):
    assert _outcomes("cuda", "0")["refused"][name][0] is None


@on_cuda
@each_bad_call
def test_a_call_that_is_captured_is_not_checked(name):
    assert _outcomes("cuda", "1")["captured"][name] is None
