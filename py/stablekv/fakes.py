"""Fake kernels: what torch.compile, export and torch.library.opcheck run in place of the operators.

The operators write into their arguments and return nothing, so a fake has nothing to compute. It
is registered all the same: without one, tracing an operator is an error.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from stablekv import _operators


def register() -> None:
    """Gives every operator its fake kernel; the second call in a process changes nothing."""
    for namespace, names in _operators.OPERATORS.items():
        for name in names:
            qualified = f"{namespace}::{name}"
            if not torch._C._dispatch_has_kernel_for_dispatch_key(qualified, "Meta"):
                operator = getattr(getattr(torch.ops, namespace), name).default
                torch.library.register_fake(qualified, _fake_of(name, operator))


def _fake_of(name: str, operator: torch._ops.OpOverload) -> Callable[..., None]:
    """A fake of an operator all of whose tensors belong on one device.

    One tensor on the meta device sends the whole call here, so a call that mixes devices would
    otherwise do nothing and say nothing.
    """
    arguments = operator._schema.arguments
    inputs = [a.name for a in arguments if str(a.type) == "Tensor" and a.alias_info is None]

    def fake(*values: object, **named: object) -> None:
        given = dict(zip((argument.name for argument in arguments), values, strict=False), **named)
        principal = given[inputs[0]]
        assert isinstance(principal, torch.Tensor)
        for argument, value in given.items():
            if isinstance(value, torch.Tensor) and value.device != principal.device:
                raise RuntimeError(
                    f"{name}: {argument} must be on {principal.device} (the device of "
                    f"{inputs[0]}), got {value.device}"
                )

    return fake
