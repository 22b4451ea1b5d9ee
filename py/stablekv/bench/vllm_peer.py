"""vLLM's own paged attention: the same schemas on the same caches, where both can be loaded."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from stablekv._library_file import namespaces
from stablekv.bench.decode import DecodeData, operator_arguments
from stablekv.bench.peer_work import is_for, peer_work
from stablekv.bench.work import Work

_NAMESPACE = "_C"
_VERSIONS = ("v1", "v2")
_NOT_SPARSE = (0, 0, 0, 64, 0)  # the last five arguments


def vllm_peers(data: DecodeData) -> dict[str, Callable[[], Work]]:
    """By name; none where vLLM is not installed, does not load into this torch or has no code for
    the case, and none beside a library with vLLM's namespace, as torch takes a name once: build one
    with --//csrc:namespace and --//csrc:cache_namespace.
    """
    if not is_for("vllm", data) or data.case.kv_cache_dtype == "fp8_e5m2":
        return {}
    operators = _operators()
    if operators is None:
        return {}
    return {f"vllm-{version}": _bound(data, version, operators) for version in _VERSIONS}


def vllm_work(data: DecodeData, version: str, operators: Any) -> Work:
    """The step by `paged_attention_` of that version, of `operators`."""
    # Memory that is free may hold our own answer.
    out = torch.full_like(data.query, float("nan"))
    arguments = operator_arguments(data, version, out)
    operator = getattr(operators, f"paged_attention_{version}")

    def attend(key_cache: torch.Tensor, value_cache: torch.Tensor) -> torch.Tensor:
        operator(*arguments(key_cache, value_cache), *_NOT_SPARSE)
        return out

    return peer_work(data, data.caches, attend)


def _bound(data: DecodeData, version: str, operators: Any) -> Callable[[], Work]:
    return lambda: vllm_work(data, version, operators)


@functools.cache
def _operators() -> Any:
    """The namespace with vLLM's operators, or None. Loads the library alone, not the package."""
    if namespaces()[0] == _NAMESPACE:
        return None
    spec = importlib.util.find_spec("vllm")
    for folder in getattr(spec, "submodule_search_locations", None) or ():
        for library in sorted(Path(folder).glob("_C*.so")):
            try:
                torch.ops.load_library(str(library))
            except OSError:  # made for another torch
                continue
    operators = getattr(torch.ops, _NAMESPACE)
    return operators if hasattr(operators, "paged_attention_v1") else None
