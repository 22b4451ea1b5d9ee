"""Every case of the benchmarks, made small: right answers pass the check, wrong ones do not."""

import re

import pytest
import stablekv
import torch
from stablekv.bench import cache_cases, decode, decode_cases, peers
from stablekv.bench.cache_work import make_work
from stablekv.bench.work import COLD_BYTES, MAX_COPIES, WrongAnswer, copies_for

from tests.support.devices import each_device

_SMALL = [
    decode_cases.small(c) for c in (*decode_cases.GRID, *decode_cases.OTHERS, *decode_cases.CPU)
]
_DECODE = list({case.name: case for case in _SMALL}.values())
_CACHE = cache_cases.cases(tokens=64)
_DEVICE = torch.device("cpu")

each_decode_case = pytest.mark.parametrize("case", _DECODE, ids=lambda case: case.name)
each_cache_case = pytest.mark.parametrize("case", _CACHE, ids=lambda case: case.name)


@each_device
@each_decode_case
def test_decode(case, device):
    data = decode.make_data(case, torch.device(device), layers=2)
    decode.stablekv_work(data).check()


@each_device
@each_cache_case
def test_cache_operator(case, device):
    if case.only_cuda and device == "cpu":
        pytest.skip("needs pinned memory")
    make_work(case, torch.device(device), copies=1).check()


@each_decode_case
def test_a_wrong_decode_is_refused(case, monkeypatch):
    for name in ("paged_attention", "paged_attention_v1", "paged_attention_v2"):
        right = getattr(stablekv, name)

        def wrong(*arguments, right=right, **named):
            right(*arguments, **named)
            out = named["out"] if "out" in named else arguments[0]
            out[-1, -1] *= 1.1  # one head of one sequence

        monkeypatch.setattr(stablekv, name, wrong)
    work = decode.stablekv_work(decode.make_data(case, _DEVICE, layers=1))
    with pytest.raises(WrongAnswer, match=f"{re.escape(case.name)}: sequence"):
        work.check()


@each_cache_case
def test_a_cache_operator_that_does_nothing_is_refused(case):
    if case.only_cuda:
        pytest.skip("needs pinned memory")
    idle = type(case)(**{**case.__dict__, "operator": lambda **arguments: None})
    with pytest.raises(WrongAnswer, match="is not what the reference writes"):
        make_work(idle, _DEVICE, copies=1).check()


@each_device
def test_peers_answer_right(device):
    case = decode_cases.DecodeCase(3, 320, 4, 2, head_size=64)
    data = decode.make_data(case, torch.device(device), layers=1)
    made = peers.peers_of(data)
    assert made
    for make in made.values():
        make().check()


def test_the_grid_is_that_of_the_published_figures():
    names = [case.name for case in decode_cases.GRID]
    assert len(set(names)) == len(names) == 74
    assert sum("r/" in name for name in names) == 4


def test_buffers_are_more_than_a_cache_holds():
    assert copies_for(1 << 20, _DEVICE) == COLD_BYTES["cpu"] >> 20
    assert copies_for(1 << 40, _DEVICE) == 1
    assert copies_for(0, _DEVICE) == MAX_COPIES
