"""A decode step by its competitors: for whom it is, its pages in their layouts, their work."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence

import torch

from stablekv.bench.decode import FP8_QUERY_SLACK, PEER_SLACK, DecodeData, check_rows
from stablekv.bench.work import Work

_HEAD_SIZES = (64, 128, 256)


def is_for(module: str, data: DecodeData) -> bool:
    """Whether `module`, with kernels for 16-bit queries, is installed and takes the step."""
    case = data.case
    return (
        importlib.util.find_spec(module) is not None
        and data.query.device.type == "cuda"
        and case.head_size in _HEAD_SIZES
        and case.dtype != torch.float32
    )


def peer_work(
    data: DecodeData,
    layers: Sequence[Sequence[torch.Tensor]],
    attend: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    rounds_queries: bool = False,
) -> Work:
    """The step by `attend`, which takes the keys and values of one of `layers`.

    `rounds_queries`: to fp8, where the cache is of that.
    """
    calls = [lambda layer=layer: attend(*layer) for layer in layers]
    slack = FP8_QUERY_SLACK if rounds_queries and data.case.is_fp8 else PEER_SLACK
    return Work(calls, data.case.kv_bytes, lambda: check_rows(data, 0, calls[0](), slack))


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
    return _permuted(data, layer, (0, 3, 1, 2, 4), (0, 3, 1, 2))


def heads_first(data: DecodeData, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A layer's caches as [num_blocks, num_kv_heads, block_size, head_size]."""
    return _permuted(data, layer, (0, 1, 3, 2, 4), (0, 1, 3, 2))


def _permuted(
    data: DecodeData, layer: int, key_order: tuple[int, ...], value_order: tuple[int, ...]
) -> tuple[torch.Tensor, torch.Tensor]:
    stored = data.case.cache_dtype
    key_cache, value_cache = data.caches[layer]
    keys = key_cache.permute(key_order).flatten(3).contiguous()
    values = value_cache.permute(value_order).contiguous()
    return keys.view(stored), values.view(stored)
