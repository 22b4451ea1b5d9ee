"""Every operator and its twin on ATen: the same schemas, bytes and errors."""

from __future__ import annotations

import functools

import pytest
import torch
from stablekv import _operators

from tests.support import contract, tensors, twin
from tests.support.contract import VARIANTS, Variant
from tests.support.devices import each_device
from tests.support.operators import OPERATORS

pytestmark = pytest.mark.skipif(bool(twin.WHY_NOT), reason=twin.WHY_NOT)

each_call = pytest.mark.parametrize(
    "operator, variant",
    [
        pytest.param(operator, variant, id=f"{operator}-{variant}")
        for operator in OPERATORS
        for variant in VARIANTS
    ],
)
_PLAIN = Variant(torch.float32, "auto")


@pytest.fixture(scope="module", autouse=True)
def _twin():
    twin.load()


_build = functools.cache(lambda operator, *how: operator.build(*how))


def _overloads(operator):
    packet = getattr(getattr(torch.ops, operator.namespace), operator.name)
    return [getattr(packet, name) for name in packet.overloads()]


def _memory(operator, arguments, device):
    outside = {f"memory {i}": memory for i, memory in enumerate(operator.memory(device))}
    return tensors.snapshot({**arguments, **outside})


def _outcome(operator, function, arguments, device):
    """The error's text, and all that the call can reach, before and after it."""
    saved = [memory.clone() for memory in operator.memory(device)]
    before = _memory(operator, arguments, device)
    error = ""
    try:
        function(**arguments)
    except (NotImplementedError, RuntimeError) as caught:
        error = twin.without_suffix(str(caught)).splitlines()[0]
    after = _memory(operator, arguments, device)
    for memory, old in zip(operator.memory(device), saved, strict=True):
        memory.copy_(old)
    return error, before, after


def _differences(some, others):
    assert some.keys() == others.keys()
    return [name for name, memory in some.items() if not torch.equal(memory, others[name])]


def _check_same(operator, variant, device, label, change):
    """Runs an operator and its twin on equal arguments; returns the error of both."""
    for function in _overloads(operator):
        error, before, after = _outcome(
            operator, function, _arguments(operator, variant, device, change), device
        )
        twins_error, _, twins_after = _outcome(
            operator, twin.of(function), _arguments(operator, variant, device, change), device
        )
        assert error == twins_error, label
        different = _differences(after, twins_after)
        assert not different, f"{function}, {label}: other bytes in {different}"
        # Else it would show nothing.
        assert bool(error) != bool(_differences(before, after)), f"{function}, {label}"
    return error


def _arguments(operator, variant, device, change):
    built = _build(operator, variant, device)
    arguments = {n: v.clone() if isinstance(v, torch.Tensor) else v for n, v in built.items()}
    change(arguments)
    return arguments


@each_device
@each_call
def test_the_same_bytes(operator, variant, device):
    for label, change in contract.variations(operator, variant):
        error = _check_same(operator, variant, device, label, change)
        assert not error, f"{label}: {error}"


@each_device
@pytest.mark.parametrize("operator", OPERATORS, ids=str)
def test_the_same_errors(operator, device):
    for refusal in (*contract.refusals(operator, _PLAIN), *operator.refusals):
        in_python = refusal.label.endswith("-on-meta")  # by a fake, which no twin has
        if not in_python and (device == "cpu" or not refusal.only_cpu):
            error = _check_same(operator, _PLAIN, device, refusal.label, refusal.change)
            assert error, refusal.label


@pytest.mark.parametrize("namespace", _operators.OPERATORS)
def test_every_operator_has_a_twin_of_its_schema_and_backends(namespace):
    names = twin.names(namespace)
    assert names == twin.names(twin.namespace_of(namespace)) != set()
    for name in names:
        packet = getattr(getattr(torch.ops, namespace), name.split(".")[0])
        operator = getattr(packet, name.partition(".")[2] or "default")
        other = twin.of(operator)
        assert twin.without_suffix(str(other._schema)) == str(operator._schema)
        for key in (torch._C.DispatchKey.CPU, torch._C.DispatchKey.CUDA):
            assert operator.has_kernel_for_dispatch_key(key) == (
                other.has_kernel_for_dispatch_key(key)
            ), f"{name} on {key}"
