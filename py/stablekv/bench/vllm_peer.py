"""vLLM's own paged attention: the same schemas on the same caches, where both can be loaded."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from stablekv import layouts
from stablekv._library_file import namespaces
from stablekv.bench.decode import DecodeData
from stablekv.bench.peer_work import is_for, peer_work
from stablekv.bench.work import Work

_NAMESPACE = "_C"
_VERSIONS = ("v1", "v2")


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
    case = data.case
    out = torch.empty_like(data.query)
    scratch = []
    if version == "v2":
        rows = (*data.query.shape[:2], layouts.num_partitions(case.max_seq_len))
        sums = data.query.new_empty(rows, dtype=torch.float32)
        scratch = [sums, torch.empty_like(sums), data.query.new_empty((*rows, case.head_size))]
    operator = getattr(operators, f"paged_attention_{version}")

    def attend(key_cache: torch.Tensor, value_cache: torch.Tensor) -> torch.Tensor:
        operator(
            out,
            *scratch,
            data.query,
            key_cache,
            value_cache,
            case.num_kv_heads,
            case.head_size**-0.5,
            data.block_tables,
            data.seq_lens,
            case.block_size,
            case.max_seq_len,
            None,  # ALiBi slopes
            case.kv_cache_dtype,
            data.k_scale,
            data.v_scale,
            *(0, 0, 0, 64, 0),  # not block-sparse
        )
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
    folders = spec.submodule_search_locations if spec is not None else None
    for folder in folders or ():
        for library in sorted(Path(folder).glob("_C*.so")):
            try:
                torch.ops.load_library(str(library))
            except OSError:  # made for another torch
                continue
    operators = getattr(torch.ops, _NAMESPACE)
    return operators if hasattr(operators, "paged_attention_v1") else None
