"""Conversion of whole caches in plain torch, the oracle of the tests."""

from __future__ import annotations

import torch

from stablekv import layouts
from stablekv.reference import encode_fp8
from stablekv.reference_gather import dequantized


def convert_fp8(
    dst_cache: torch.Tensor,
    src_cache: torch.Tensor,
    scale: float = 1.0,
    kv_cache_dtype: str = "fp8",
) -> None:
    """As stablekv.convert_fp8."""
    float8 = layouts.FP8_FORMATS[kv_cache_dtype]
    factor = torch.tensor(scale, dtype=torch.float32)
    if src_cache.dtype in layouts.ELEMENT_DTYPES:
        dst_cache.view(torch.uint8).copy_(encode_fp8(src_cache, factor, float8))
        return
    bits = dequantized(src_cache.view(torch.uint8), factor, float8, dst_cache.dtype)
    dst_cache.view(bits.dtype).copy_(bits)
