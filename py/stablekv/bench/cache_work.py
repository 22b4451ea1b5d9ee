"""Calls of one cache operator, and the check that they write what the reference does."""

from __future__ import annotations

import torch

from stablekv.bench.cache_cases import Arguments, CacheCase
from stablekv.bench.work import Work, WrongAnswer, copies_for, synchronize


def make_work(case: CacheCase, device: torch.device, copies: int | None = None) -> Work:
    """The case on `copies` sets of buffers: as many as no cache holds, when None."""
    torch.manual_seed(0)
    every = [case.build(device) for _ in range(copies or copies_for(case.bytes, device))]
    calls = [lambda arguments=arguments: case.operator(**arguments) for arguments in every]
    return Work(calls, case.bytes, lambda: _check(case, every[0], device), case.graph)


def _check(case: CacheCase, arguments: Arguments, device: torch.device) -> None:
    expected = {
        name: value.cpu().clone() if isinstance(value, torch.Tensor) else value
        for name, value in arguments.items()
    }
    case.reference(**expected)
    case.operator(**arguments)
    synchronize(device)
    for name in case.written:
        got, want = arguments[name].cpu(), expected[name]
        if case.exact:
            equal = torch.equal(_bits(got), _bits(want))
        else:
            equal = torch.allclose(got.float(), want.float(), rtol=8e-3, atol=1e-5)
        if not equal:
            raise WrongAnswer(f"{case.name}: {name} is not what the reference writes")


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.contiguous().view(torch.uint8)
