"""Attention over keys and values that lie side by side: what stand-ins of peers compute by."""

import torch


def attend(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, scale: float
) -> torch.Tensor:
    """Of one sequence: [num_heads, head_size] over [length, num_kv_heads, head_size], float32."""
    keys, values = (rows.float().transpose(0, 1) for rows in (keys, values))
    grouped = query.float().view(len(keys), -1, query.shape[-1])
    return ((grouped @ keys.mT * scale).softmax(-1) @ values).flatten(0, 1)
