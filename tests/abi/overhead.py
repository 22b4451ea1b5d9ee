"""Host time of a call of each operator through the stable ABI, and of its twin through ATen.

./bazelw run -c opt //tests/abi:overhead [-- --device=cuda --inputs=good]

Rounds of the two alternate, so that both see the machine as it is just then. A time is the median
of its rounds, the ratio that of the rounds' own ratios; "best" is the quickest round of each.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import stablekv  # noqa: F401  (loads the library)
import torch
from absl import app, flags

from tests.support import twin
from tests.support.contract import Operator, Variant
from tests.support.operators import OPERATORS

_CALLS = flags.DEFINE_integer("calls", 200, "Calls in a round.", lower_bound=1)
_ROUNDS = flags.DEFINE_integer("rounds", 101, "Rounds of each side.", lower_bound=1)
_DEVICE = flags.DEFINE_enum("device", "cpu", ["cpu", "cuda"], "Where the tensors are.")
_INPUTS = flags.DEFINE_enum(
    "inputs", "empty", ["empty", "good"], "Calls of no tokens, or small ones with a kernel's work."
)
_ONLY = flags.DEFINE_string("only", "", "A part of the operators' names.")

_VARIANT = Variant(torch.float16, "fp8")


def _nanoseconds(function: Callable[..., None], arguments: tuple[Any, ...], calls: int) -> float:
    """Of a call, the mean of `calls`."""
    rounds = range(calls)
    start = time.perf_counter_ns()
    for _ in rounds:
        function(*arguments)
    return (time.perf_counter_ns() - start) / calls


def _synchronize() -> None:
    if _DEVICE.value == "cuda":
        torch.cuda.synchronize()


def _measure(operator: Operator) -> str:
    """A row of the table."""
    if _INPUTS.value == "empty":
        named = operator.build_empty(_DEVICE.value)
    else:
        named = operator.build(_VARIANT, _DEVICE.value)
    stable = getattr(getattr(torch.ops, operator.namespace), operator.name).default
    arguments = tuple(named[argument.name] for argument in stable._schema.arguments)
    sides = (stable, twin.of(stable))
    times: tuple[list[float], list[float]] = ([], [])
    for index in range(_ROUNDS.value + 1):
        for side in (0, 1) if index % 2 else (1, 0):
            _synchronize()
            spent = _nanoseconds(sides[side], arguments, _CALLS.value)
            if index:  # the first round warms up
                times[side].append(spent)
    ratio = statistics.median(ours / theirs for ours, theirs in zip(*times, strict=True))
    ours, theirs = map(statistics.median, times)
    best, twins_best = map(min, times)
    return (
        f"| `{operator.name}` | {len(arguments)} | {ours:.0f} | {theirs:.0f} | {ratio:.2f} "
        f"| {best:.0f} | {twins_best:.0f} | {best / twins_best:.2f} |"
    )


def main(_: list[str]) -> None:
    if twin.WHY_NOT:
        raise app.UsageError(twin.WHY_NOT)
    twin.load()
    torch.set_num_threads(1)
    print(
        f"torch {torch.__version__}, {_DEVICE.value}, {_INPUTS.value} inputs; ns a call from Python"
    )
    print()
    print("| operator | arguments | stable | ATen | ratio | best: stable | ATen | ratio |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    measured = set()
    for operator in OPERATORS:
        if operator.name not in measured and _ONLY.value in operator.name:
            measured.add(operator.name)
            print(_measure(operator), flush=True)


if __name__ == "__main__":
    app.run(main)
