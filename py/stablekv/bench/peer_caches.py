"""The caches of a decode step as its competitors want them."""

from __future__ import annotations

import torch

from stablekv import layouts
from stablekv.bench.decode import DecodeData


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
    case = data.case
    stored = layouts.FP8_FORMATS.get(case.kv_cache_dtype, case.dtype)
    key_cache, value_cache = data.caches[layer]
    keys = key_cache.permute(key_order).flatten(3).contiguous()
    values = value_cache.permute(value_order).contiguous()
    return keys.view(stored), values.view(stored)
