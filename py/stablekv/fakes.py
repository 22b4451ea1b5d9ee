"""Fake kernels: what torch.compile, export and torch.library.opcheck run in place of the operators.

The operators write into their arguments and return nothing, so a fake has nothing to compute. It
is registered all the same: without one, tracing an operator is an error.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from stablekv import _operators

# Operators that write to memory that their schema does not name: compilers must not drop them.
_EFFECTS = ("swap_blocks_batch",)


def register() -> None:
    """Gives every operator its fake kernel; the second call in a process changes nothing."""
    for namespace, names in _operators.OPERATORS.items():
        for name in names:
            qualified = f"{namespace}::{name}"
            if not torch._C._dispatch_has_kernel_for_dispatch_key(qualified, "Meta"):
                operator = getattr(getattr(torch.ops, namespace), name).default
                torch.library.register_fake(qualified, _fake_of(name, operator))
                if name in _EFFECTS:
                    _keep(operator)
    for namespace, names in _operators.TRACED_BY_OVERLOAD.items():
        for name in names:
            _trace_by_overload(namespace, name)


def _keep(operator: torch._ops.OpOverload) -> None:
    effects = torch._higher_order_ops.effects
    effects._register_effectful_op(operator, effects._EffectType.ORDERED)
    torch.fx.node.has_side_effect(operator)


def _trace_by_overload(namespace: str, name: str) -> None:
    """Makes traces of an operator hold its overload `traceable`."""
    packet = getattr(getattr(torch.ops, namespace), name)
    key = torch._C.DispatchKey.CompositeImplicitAutograd  # only tracing asks for it
    if key not in packet.default.py_kernels:
        overload = packet.traceable
        torch.library.register_fake(overload.name(), _fake_of(name, overload))
        packet.default.py_impl(key)(overload)


def _fake_of(name: str, operator: torch._ops.OpOverload) -> Callable[..., None]:
    """A fake of an operator, which checks the devices alone.

    One tensor on the meta device sends the whole call here, so a call that mixes devices would
    otherwise do nothing and say nothing.
    """
    arguments = operator._schema.arguments
    inputs = [a.name for a in arguments if str(a.type) == "Tensor" and a.alias_info is None]

    def fake(*values: object, **named: object) -> None:
        given = dict(zip((argument.name for argument in arguments), values, strict=False), **named)
        if name == "swap_blocks":
            _check_swap_blocks(given)
        else:
            _check_one_device(name, given, inputs[0])

    return fake


def _tensor(name: str, given: dict[str, object], argument: str) -> torch.Tensor:
    """A schema lets None pass where it wants a tensor."""
    value = given[argument]
    if not isinstance(value, torch.Tensor):
        raise RuntimeError(f"{name}: {argument} must be a tensor, got {value}")
    return value


def _check_one_device(name: str, given: dict[str, object], principal: str) -> None:
    home = _tensor(name, given, principal)
    for argument, value in given.items():
        if isinstance(value, torch.Tensor) and value.device != home.device:
            raise RuntimeError(
                f"{name}: {argument} must be on {home.device} (the device of "
                f"{principal}), got {value.device}"
            )


def _check_swap_blocks(given: dict[str, object]) -> None:
    """The mapping is on the CPU; each cache is there or on the one CUDA device of the call."""
    src, dst, mapping = (
        _tensor("swap_blocks", given, argument) for argument in ("src", "dst", "block_mapping")
    )
    if src.device.type == dst.device.type == mapping.device.type == "meta":
        return
    for argument, cache in (("src", src), ("dst", dst)):
        if cache.device.type not in ("cpu", "cuda"):
            raise RuntimeError(
                f"swap_blocks: {argument} must be on the CPU or on a CUDA device, "
                f"got {cache.device}"
            )
    if src.device.type == dst.device.type == "cuda" and src.device != dst.device:
        raise RuntimeError(
            f"swap_blocks: dst must be on the CPU or on {src.device} (the device of src), "
            f"got {dst.device}"
        )
    if mapping.device.type != "cpu":
        raise RuntimeError(f"swap_blocks: block_mapping must be on the CPU, got {mapping.device}")
