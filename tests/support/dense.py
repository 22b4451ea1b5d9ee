"""Attention by gathering pages into dense keys and values: what stand-ins of peers compute by."""

import torch


def attend(
    query: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    pages: torch.Tensor,
    length: int,
    scale: float,
) -> torch.Tensor:
    """Of one sequence, whose tokens are in `pages`: float32 [num_heads, head_size].

    `query` is of that shape, caches are [num_blocks, block_size, num_kv_heads, head_size].
    """
    keys, values = (
        cache.float()[pages.long()].flatten(0, 1)[:length].transpose(0, 1)
        for cache in (keys, values)
    )
    grouped = query.float().view(len(keys), -1, query.shape[-1])
    return ((grouped @ keys.mT * scale).softmax(-1) @ values).flatten(0, 1)
