"""What reshape_and_cache_flash computes, in plain torch: slow, obvious, the oracle of its tests.

Arguments are taken to be valid.
"""

from __future__ import annotations

import torch

from stablekv import layouts
from stablekv.reference import bits, encode_fp8


def reshape_and_cache_flash(
    key: torch.Tensor,
    value: torch.Tensor,
    key_cache: torch.Tensor,
    value_cache: torch.Tensor,
    slot_mapping: torch.Tensor,
    kv_cache_dtype: str,
    k_scale: torch.Tensor,
    v_scale: torch.Tensor,
) -> None:
    """As stablekv.reshape_and_cache_flash."""
    for source, cache, scale in ((key, key_cache, k_scale), (value, value_cache, v_scale)):
        num_heads, block_size = source.shape[1], cache.shape[1]
        scales = scale.flatten().expand(num_heads)
        stored = bits(cache)
        for token, slot in enumerate(slot_mapping.tolist()):
            if slot < 0:
                continue
            block, offset = divmod(slot, block_size)
            for head in range(num_heads):
                row = source[token, head]
                if layouts.is_fp8(kv_cache_dtype):
                    codes = encode_fp8(row, scales[head], layouts.FP8_FORMATS[kv_cache_dtype])
                else:
                    codes = row.view(stored.dtype)
                stored[block, offset, head] = codes
