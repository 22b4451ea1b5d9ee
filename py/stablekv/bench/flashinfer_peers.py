"""FlashInfer's decode kernels on the same pages, in the layout they want, where it is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import torch

from stablekv.bench.decode import DecodeData
from stablekv.bench.peer_work import heads_first, is_for, page_lists, peer_work, tokens_first
from stablekv.bench.work import Work

_WORKSPACE_BYTES = 384 << 20
# Its kernels for one head of a group each, those for a group on tensor cores, and cuDNN's.
_WRAPPED = {
    "flashinfer-cc": {"use_tensor_cores": False, "layout": "NHD"},
    "flashinfer-tc": {"use_tensor_cores": True, "layout": "HND", "backend": "fa2"},
    "flashinfer-cudnn": {"use_tensor_cores": True, "layout": "HND", "backend": "cudnn"},
}
_CACHES = {"NHD": tokens_first, "HND": heads_first}
_XQA_PAGES = (16, 32, 64, 128)  # tokens that a page of its may have


def flashinfer_peers(data: DecodeData) -> dict[str, Callable[[], Work]]:
    """By name; none where FlashInfer is not installed or has no kernel for the case."""
    case = data.case
    if not is_for("flashinfer", data):
        return {}
    peers: dict[str, Callable[[], Work]] = {
        name: (lambda kernel=kernel: flashinfer_work(data, **kernel))
        for name, kernel in _WRAPPED.items()
        if kernel.get("backend") != "cudnn" or _cudnn_covers(data)
    }
    if case.block_size in _XQA_PAGES and case.kv_cache_dtype != "fp8_e5m2":
        name = "flashinfer-xqa, fp8 queries" if case.is_fp8 else "flashinfer-xqa"
        peers[name] = lambda: xqa_work(data)
    return peers


def _cudnn_covers(data: DecodeData) -> bool:
    return importlib.util.find_spec("cudnn") is not None and not data.case.is_fp8


def flashinfer_work(
    data: DecodeData, use_tensor_cores: bool, layout: str, backend: str = "auto"
) -> Work:
    """Its plan is made once, outside of what is timed, as a server makes it once a step."""
    import flashinfer

    case, device = data.case, data.query.device
    workspace = torch.empty(_WORKSPACE_BYTES, dtype=torch.uint8, device=device)
    wrapper = flashinfer.BatchDecodeWithPagedKVCacheWrapper(
        workspace, layout, use_tensor_cores=use_tensor_cores, backend=backend
    )
    begins, pages, last = page_lists(data)
    # Its choice of a kernel may depend on whether it is given them.
    tables = {"block_tables": data.used_tables()} if backend == "cudnn" else {}
    wrapper.plan(
        begins,
        pages,
        last,
        case.num_heads,
        case.num_kv_heads,
        case.head_size,
        case.block_size,
        q_data_type=case.dtype,
        kv_data_type=case.cache_dtype,
        **tables,
    )
    k_scale, v_scale = _scales(data)
    layers = [_CACHES[layout](data, layer) for layer in range(len(data.caches))]

    def attend(*caches: torch.Tensor) -> torch.Tensor:
        return wrapper.run(data.query, caches, k_scale=k_scale, v_scale=v_scale)

    return peer_work(data, layers, attend)


def xqa_work(data: DecodeData) -> Work:
    """Its kernel of another origin, which plans nothing. An fp8 cache makes queries fp8 as well."""
    import flashinfer

    case, device = data.case, data.query.device
    layers = [heads_first(data, layer) for layer in range(len(data.caches))]
    query = data.query.unsqueeze(1)  # one beam
    output = torch.empty_like(query)
    tables = data.stated_tables()  # their width is what it takes for the longest length
    lengths = data.seq_lens.unsqueeze(1).to(torch.uint32)
    workspace = torch.zeros(_WORKSPACE_BYTES, dtype=torch.uint8, device=device)
    # It leaves them zero; one for each sequence and kv head, and a few for what it rounds up to.
    semaphores = torch.zeros(2 * case.batch * case.num_kv_heads + 64, dtype=torch.int32)
    semaphores = semaphores.to(device).view(torch.uint32)
    k_scale, v_scale = _scales(data)

    def attend(keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        flashinfer.xqa(
            query,
            keys,
            values,
            tables,
            lengths,
            output,
            workspace,
            semaphores,
            case.num_kv_heads,
            case.block_size,
            q_scale=k_scale / v_scale,  # the scale of the cache is that of keys and of values
            kv_scale=v_scale,
            kv_layout="HND",
        )
        return output.squeeze(1)

    return peer_work(data, layers, attend, rounds_queries=True)


def _scales(data: DecodeData) -> tuple[float, float]:
    return data.k_scale.item(), data.v_scale.item()
