"""Which operators are registered for which backend, asked of torch's dispatcher."""

from __future__ import annotations

BACKENDS = ("CPU", "CUDA", "Meta")


def table() -> dict[str, dict[str, bool]]:
    """{"_C::paged_attention_v1": {"CPU": True, "CUDA": True, "Meta": True}, ...}. Needs torch."""
    import torch

    from stablekv import _operators

    has = torch._C._dispatch_has_kernel_for_dispatch_key
    names = _operators.qualified_names()
    return {name: {backend: has(name, backend) for backend in BACKENDS} for name in names}


def lacking(operators: dict[str, dict[str, bool]], *, cuda: bool) -> list[str]:
    """What is not there and should be: `cuda` says whether the library was built with CUDA."""
    wanted = [backend for backend in BACKENDS if cuda or backend != "CUDA"]
    return [
        f"{name} has no {backend} kernel"
        for name, backends in operators.items()
        for backend in wanted
        if not backends.get(backend)
    ]
