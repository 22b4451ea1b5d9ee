"""Calls of convert_fp8 and the table's part on it."""

from __future__ import annotations

from typing import Any

import stablekv
import torch
from stablekv import layouts, reference_convert

from tests.support.cache import special_values
from tests.support.changes import assign
from tests.support.compare import check_bytes
from tests.support.contract import Arguments, Operator, Refusal, Row, Variant

_SHAPE = (3, 5, 64)


def to_fp8(
    dtype: torch.dtype, kv_cache_dtype: str, device: str, shape: tuple[int, ...] = _SHAPE
) -> dict[str, Any]:
    """The arguments of a call that quantises random and special values."""
    random = torch.Generator().manual_seed(3)
    spread = torch.exp2(torch.randint(-14, 14, shape, generator=random).float())
    values = (torch.randn(shape, generator=random) * spread * 0.0371).to(dtype)
    special = special_values(dtype)
    flat = values.view(-1)
    flat[: len(special)] = special[: len(flat)]
    return {
        "dst_cache": torch.full(shape, 0xEE, dtype=torch.uint8, device=device),
        "src_cache": values.to(device),
        "scale": 0.0371,
        "kv_cache_dtype": kv_cache_dtype,
    }


def from_fp8(
    dtype: torch.dtype, kv_cache_dtype: str, device: str, shape: tuple[int, ...] = _SHAPE
) -> dict[str, Any]:
    """The arguments of a call that dequantises every code."""
    codes = torch.arange(torch.Size(shape).numel()) % 256
    return {
        "dst_cache": torch.full(shape, 7.0, dtype=dtype, device=device),
        "src_cache": codes.to(torch.uint8).view(shape).to(device),
        "scale": 0.0371,
        "kv_cache_dtype": kv_cache_dtype,
    }


def check(arguments: dict[str, Any]) -> None:
    """Runs convert_fp8; every byte must be as the reference has it."""
    check_bytes(
        stablekv.convert_fp8, reference_convert.convert_fp8, arguments, written=["dst_cache"]
    )


# ---- the table: variants in fp8 convert from it, the others to "fp8"


def _elements(variant: Variant) -> tuple[torch.dtype, ...]:
    return (variant.dtype, *(d for d in layouts.ELEMENT_DTYPES if d != variant.dtype))


def _src_dtypes(variant: Variant) -> tuple[torch.dtype, ...]:
    if layouts.is_fp8(variant.kv_cache_dtype):
        return (torch.uint8, layouts.FP8_FORMATS[variant.kv_cache_dtype])
    return _elements(variant)


def _dst_dtypes(variant: Variant) -> tuple[torch.dtype, ...]:
    if layouts.is_fp8(variant.kv_cache_dtype):
        return _elements(variant)
    return (torch.uint8, torch.float8_e4m3fn)


def _build(variant: Variant, device: str) -> Arguments:
    if layouts.is_fp8(variant.kv_cache_dtype):
        return from_fp8(variant.dtype, variant.kv_cache_dtype, device)
    return to_fp8(variant.dtype, "fp8", device)


CONVERT_FP8 = Operator(
    name="convert_fp8",
    namespace="_C_cache_ops",
    rows=(
        Row("dst_cache", "num_blocks num_heads size", _dst_dtypes, written=True),
        Row("src_cache", "num_blocks num_heads size", _src_dtypes),
    ),
    build=_build,
    call=stablekv.convert_fp8,
    check=check,
    build_empty=lambda device: to_fp8(torch.float32, "fp8", device, (0, 5, 64)),
    refusals=(
        *(
            Refusal(f"kv_cache_dtype-{text}", ("kv_cache_dtype",), assign(kv_cache_dtype=text))
            for text in ("", "auto", "float16", "half", "fp4", "FP8", "nvfp4", "fp8_ds_mla")
        ),
        Refusal(
            "dst-in-src",
            ("dst_cache",),
            lambda arguments: arguments.update(
                dst_cache=arguments["src_cache"]
                .view(torch.uint8)
                .flatten()[: 3 * 5 * 64]
                .view(_SHAPE)
            ),
        ),
    ),
)
