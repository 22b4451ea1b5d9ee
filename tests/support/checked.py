"""Every operator of the table on one device, in whatever mode the process was started in.

Checked mode is asked for in the environment that the library is loaded in, so each mode needs a
process of its own, which prints its `Outcomes` as JSON.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TypedDict

import torch

from tests.support import contract, tensors
from tests.support.contract import Arguments, Operator, Refusal, Variant
from tests.support.operators import OPERATORS

VARIANTS = (Variant(torch.float32, "auto"), Variant(torch.float16, "fp8"))


class Outcomes(TypedDict):
    """By the name of the call."""

    refused: dict[str, tuple[str | None, list[str]]]  # the message, and the tensors that changed
    worked: dict[str, str]  # a digest of all that was written
    captured: dict[str, str | None]  # the message of a bad call that is captured and replayed


def out_of_range() -> Iterator[tuple[str, Operator, Refusal]]:
    """Calls with a value out of range in a tensor, by name."""
    for operator in OPERATORS:
        for refusal in operator.refusals:
            if refusal.only_cpu:
                yield f"{operator}-{refusal.label}", operator, refusal


def good() -> Iterator[tuple[str, Operator, Variant]]:
    """Calls with nothing wrong, by name."""
    for operator in OPERATORS:
        for variant in VARIANTS:
            yield f"{operator}-{variant}", operator, variant


def _bad_arguments(operator: Operator, refusal: Refusal, device: str) -> Arguments:
    arguments = operator.build(VARIANTS[0], device)
    refusal.change(arguments)
    return arguments


def _message_of(operator: Operator, arguments: Arguments) -> str | None:
    try:
        operator.call(**arguments)
    except RuntimeError as error:
        return str(error).splitlines()[0]
    return None


def _refused(operator: Operator, refusal: Refusal, device: str) -> tuple[str | None, list[str]]:
    arguments = _bad_arguments(operator, refusal, device)
    before = tensors.snapshot(arguments)
    message = _message_of(operator, arguments)
    return message, tensors.changed(before, arguments)


def _worked(operator: Operator, variant: Variant, device: str) -> str:
    arguments = operator.build(variant, device)
    operator.call(**arguments)
    digest = hashlib.sha256()
    for row in contract.rows_of(operator, variant):
        if row.written and not row.or_more:  # scratch is nobody's business
            elements = tensors.bytes_of(arguments[row.name]).cpu().contiguous()
            digest.update(bytes(elements.flatten().view(torch.uint8).tolist()))
    return digest.hexdigest()


def _captured(operator: Operator, refusal: Refusal) -> str | None:
    arguments = _bad_arguments(operator, refusal, "cuda")
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        message = _message_of(operator, arguments)
    graph.replay()
    torch.cuda.synchronize()
    return message


def outcomes(device: str) -> Outcomes:
    worked = {name: _worked(operator, variant, device) for name, operator, variant in good()}
    refused = {name: _refused(operator, bad, device) for name, operator, bad in out_of_range()}
    captured = {}
    if device == "cuda":
        captured = {name: _captured(operator, bad) for name, operator, bad in out_of_range()}
    return {"refused": refused, "worked": worked, "captured": captured}
