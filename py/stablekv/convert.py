"""Conversion of whole caches to fp8 and back."""

from __future__ import annotations

import torch

from stablekv import _library


def convert_fp8(
    dst_cache: torch.Tensor,
    src_cache: torch.Tensor,
    scale: float = 1.0,
    kv_cache_dtype: str = "fp8",
) -> None:
    """Converts every element of a cache to fp8, or from it: the dtypes say which.

        dst_cache[...] = fp8(src_cache[...] / scale)          to fp8
        dst_cache[...] = dtype(float(src_cache[...]) * scale)  from fp8

    Both are float32 operations, rounded once more to nearest even. What is too large for fp8, and
    infinity, becomes its largest finite value; NaN becomes 0x7F, and from fp8 the NaN of all bits
    but the sign (stablekv.reference.encode_fp8, stablekv.reference_gather.dequantized).

    Args:
        dst_cache: any shape and strides without gaps between elements, written. uint8 or the float8
            dtype of the format if `src_cache` is none; float32, float16 or bfloat16 otherwise.
        src_cache: the same shape and strides, on the same device, the other kind of dtype.
        scale: a number, rounded to float32. Not checked: the formula says what comes of 0 and NaN.
        kv_cache_dtype: "fp8" or "fp8_e4m3", or "fp8_e5m2".

    Raises:
        RuntimeError: an argument is not as above.

    Source: the operator of vLLM of this name and schema, which knows e4m3 only and does not look at
    shapes, nor at dtypes that it cannot convert.
    """
    _library.convert_fp8(dst_cache, src_cache, scale, kv_cache_dtype)
