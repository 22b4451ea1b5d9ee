"""FlashInfer's decode kernels on the same pages, in the layout they want, where it is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import torch

from stablekv import layouts
from stablekv.bench.decode import PEER_SLACK, DecodeData, check_rows
from stablekv.bench.work import Work

_WORKSPACE_BYTES = 384 << 20
# Its kernels for one head of a group each, those for a group on tensor cores, and cuDNN's.
_KERNELS = {
    "flashinfer-cc": {"use_tensor_cores": False},
    "flashinfer-tc": {"use_tensor_cores": True, "backend": "fa2"},
    "flashinfer-cudnn": {"use_tensor_cores": True, "backend": "cudnn"},
}
_HEAD_SIZES = (64, 128, 256)


def flashinfer_peers(data: DecodeData) -> dict[str, Callable[[], Work]]:
    """By name; none where FlashInfer is not installed or has no kernel for the case."""
    case = data.case
    if (
        importlib.util.find_spec("flashinfer") is None
        or data.query.device.type != "cuda"
        or case.head_size not in _HEAD_SIZES
        or case.dtype == torch.float32
    ):
        return {}
    return {
        name: (lambda kernel=kernel: flashinfer_work(data, **kernel))
        for name, kernel in _KERNELS.items()
        if kernel.get("backend") != "cudnn" or _cudnn_covers(data)
    }


def _cudnn_covers(data: DecodeData) -> bool:
    return importlib.util.find_spec("cudnn") is not None and data.case.kv_cache_dtype == "auto"


def flashinfer_work(data: DecodeData, use_tensor_cores: bool, backend: str = "auto") -> Work:
    """Its plan is made once, outside of what is timed, as a server makes it once a step."""
    import flashinfer

    case, device = data.case, data.query.device
    workspace = torch.empty(_WORKSPACE_BYTES, dtype=torch.uint8, device=device)
    wrapper = flashinfer.BatchDecodeWithPagedKVCacheWrapper(
        workspace, "NHD", use_tensor_cores=use_tensor_cores, backend=backend
    )
    begins, pages, last = page_lists(data)
    # Its choice of a kernel may depend on whether it is given them.
    tables = {"block_tables": data.used_tables()} if backend == "cudnn" else {}
    kv_dtype = layouts.FP8_FORMATS.get(case.kv_cache_dtype, case.dtype)
    wrapper.plan(
        begins,
        pages,
        last,
        case.num_heads,
        case.num_kv_heads,
        case.head_size,
        case.block_size,
        q_data_type=case.dtype,
        kv_data_type=kv_dtype,
        **tables,
    )
    k_scale, v_scale = (scale.item() for scale in (data.k_scale, data.v_scale))
    layers = [tokens_first(data, layer) for layer in range(len(data.caches))]
    calls = [
        lambda caches=caches: wrapper.run(data.query, caches, k_scale=k_scale, v_scale=v_scale)
        for caches in layers
    ]
    return Work(calls, case.kv_bytes, lambda: check_rows(data, 0, calls[0](), PEER_SLACK))


def page_lists(data: DecodeData) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Where each sequence's pages begin in the list of all, that list, tokens of each last page.

    int32, [batch + 1], [pages of all sequences] and [batch], on the device of the caches.
    """
    case = data.case
    used = case.pages
    begins = torch.tensor([0, *used], dtype=torch.int32).cumsum(0, dtype=torch.int32)
    pages = torch.cat([data.block_tables[row, :count] for row, count in enumerate(used)])
    last = [
        length - (count - 1) * case.block_size
        for length, count in zip(case.seq_lens, used, strict=True)
    ]
    device = data.query.device
    return begins.to(device), pages, torch.tensor(last, dtype=torch.int32, device=device)


def tokens_first(data: DecodeData, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A layer's caches as [num_blocks, block_size, num_kv_heads, head_size]."""
    case = data.case
    stored = layouts.FP8_FORMATS.get(case.kv_cache_dtype, case.dtype)
    key_cache, value_cache = data.caches[layer]
    keys = key_cache.permute(0, 3, 1, 2, 4).flatten(3).contiguous()
    values = value_cache.permute(0, 3, 1, 2).contiguous()
    return keys.view(stored), values.view(stored)
