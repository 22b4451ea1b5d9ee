"""The twin of the library: every operator once more, bound to one torch by ATen."""

from __future__ import annotations

import os

import torch

# A file of //csrc/libtorch_unstable/twin, built for the torch that runs.
LIBRARY = os.environ.get("STABLEKV_TWIN_LIBRARY")
WHY_NOT = "" if LIBRARY else "STABLEKV_TWIN_LIBRARY does not name a _C_twin.so of this torch"

_SUFFIX = "_twin"  # of namespaces


def load() -> None:
    """Loads the twin; once more in a process does nothing."""
    assert LIBRARY is not None, WHY_NOT
    torch.ops.load_library(os.path.abspath(LIBRARY))


def names(namespace: str) -> set[str]:
    """Operators of a namespace as `name` or `name.overload`, as the dispatcher has them now."""
    registered = torch._C._dispatch_get_all_op_names()
    prefix = f"{namespace}::"
    return {name.removeprefix(prefix) for name in registered if name.startswith(prefix)}


def namespace_of(namespace: str) -> str:
    """Where the twins of a namespace's operators are."""
    return namespace + _SUFFIX


def without_suffix(text: str) -> str:
    """A text of the twin as the library itself would have it."""
    return text.replace(_SUFFIX, "")


def of(operator: torch._ops.OpOverload) -> torch._ops.OpOverload:
    """The twin of an operator."""
    namespace, name = operator._schema.name.split("::")
    packet = getattr(getattr(torch.ops, namespace_of(namespace)), name)
    return getattr(packet, operator._overloadname)
