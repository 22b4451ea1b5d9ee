"""Comparison of a call with its reference, to the last byte of what it writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from tests.support import tensors


def check_bytes(
    call: Callable[..., None],
    reference: Callable[..., None],
    arguments: dict[str, Any],
    written: Sequence[str],
) -> None:
    """Runs a call; every byte of the tensors `written` must be as the reference has it.

    Nothing else may change, nor what lies between the elements of those tensors. The reference
    runs on the CPU.
    """
    expected = {n: v.cpu() if isinstance(v, torch.Tensor) else v for n, v in arguments.items()}
    for name in written:
        expected[name] = expected[name].clone()
    reference(**expected)

    before = tensors.snapshot(arguments)
    call(**arguments)
    for name in written:
        _compare(name, arguments[name], expected[name])
    if touched := tensors.changed(before, arguments, but=written):
        raise AssertionError(f"wrote to {touched}, outside of the elements of {list(written)}")


def _compare(name: str, actual: torch.Tensor, expected: torch.Tensor) -> None:
    got, want = tensors.bytes_of(actual).cpu(), tensors.bytes_of(expected)
    wrong = got != want
    if wrong.any():
        place = tuple(wrong.nonzero()[0].tolist())
        raise AssertionError(
            f"{int(wrong.sum())} of {wrong.numel()} elements of {name} are off, the first at "
            f"{place}: {hex(got[place])} instead of {hex(want[place])}"
        )
