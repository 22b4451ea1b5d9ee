"""reshape_and_cache_flash's part of the table of operators.

It is there three times: with a scale a tensor, with a scale a head, and with nvfp4 caches.
"""

from __future__ import annotations

from dataclasses import replace

import stablekv
import torch

from tests.support import flash, nvfp4
from tests.support.changes import alias, put, view_of, wrong_kv_cache_dtypes
from tests.support.contract import CACHE, ELEMENT, HALF, Arguments, Operator, Refusal, Row, Variant
from tests.support.flash import FlashCase

_CASE = FlashCase(spare_tokens=0)
_NUM_SLOTS = _CASE.num_blocks * _CASE.block_size

_ROWS = (
    Row("key", "num_tokens+ num_heads head_size", ELEMENT, gaps=2),
    Row("value", "num_tokens+ num_heads head_size", ELEMENT, gaps=2),
    Row("key_cache", "num_blocks block_size num_heads head_size", CACHE, gaps=3, written=True),
    Row("value_cache", "num_blocks block_size num_heads head_size", CACHE, gaps=3, written=True),
    Row("slot_mapping", "num_tokens?", torch.int64),
)


def _no_slots(arguments: Arguments) -> None:
    arguments["key_cache"] = arguments["key_cache"][:, :0]


def _rank_1(arguments: Arguments) -> None:
    arguments["v_scale"] = arguments["v_scale"].reshape(1)


def _operator(rows: tuple[Row, ...], case: FlashCase, refusals: tuple[Refusal, ...]) -> Operator:
    def build(variant: Variant, device: str) -> Arguments:
        dtypes = {"dtype": variant.dtype, "kv_cache_dtype": variant.kv_cache_dtype}
        return flash.arguments_of(replace(case, **dtypes), device)

    return Operator(
        name="reshape_and_cache_flash",
        namespace="_C_cache_ops",
        rows=(*_ROWS, *rows),
        build=build,
        call=stablekv.reshape_and_cache_flash,
        check=flash.check,
        build_empty=lambda device: flash.arguments_of(replace(case, slots=()), device),
        refusals=refusals,
    )


RESHAPE_AND_CACHE_FLASH = _operator(
    rows=(
        Row("k_scale", "", torch.float32, alike="v_scale"),
        Row("v_scale", "", torch.float32, alike="k_scale"),
    ),
    case=_CASE,
    refusals=(
        *(
            Refusal(f"slot-{n}", ("slot_mapping",), put("slot_mapping", (4,), n), only_cpu=True)
            for n in (_NUM_SLOTS, _NUM_SLOTS + 1, 2**40, 2**63 - 1)
        ),
        Refusal("block_size-0", ("key_cache",), _no_slots),
        Refusal("v_scale-of-rank-1", ("v_scale",), _rank_1),
        Refusal("value_cache-is-key_cache", ("key_cache",), alias("value_cache", "key_cache")),
        Refusal("key-in-key_cache", ("key_cache",), view_of("key", "key_cache")),
        Refusal("value-in-value_cache", ("value_cache",), view_of("value", "value_cache")),
        *wrong_kv_cache_dtypes("key", "key_cache"),
    ),
)

RESHAPE_AND_CACHE_FLASH_BY_HEAD = _operator(
    rows=(
        Row("k_scale", "num_heads", torch.float32),
        Row("v_scale", "num_heads", torch.float32),
    ),
    case=replace(_CASE, scale_per_head=True, layout="HND"),
    refusals=(),
)


def _head_size_of_96(arguments: Arguments) -> None:
    for name, size in (("key", 96), ("value", 96), ("key_cache", 54), ("value_cache", 54)):
        arguments[name] = arguments[name][..., :size].contiguous()


def _block_size_of_14(arguments: Arguments) -> None:
    for name in ("key_cache", "value_cache"):
        arguments[name] = arguments[name][:, :14].contiguous()


def _keys_of_float32(arguments: Arguments) -> None:
    for name in ("key", "value"):
        arguments[name] = arguments[name].float()


_PAGES = "num_blocks block_size num_heads bytes"

RESHAPE_AND_CACHE_NVFP4 = Operator(
    name="reshape_and_cache_flash",
    namespace="_C_cache_ops",
    rows=(
        Row("key", "num_tokens+ num_heads head_size", HALF, gaps=2),
        Row("value", "num_tokens+ num_heads head_size", HALF, gaps=2),
        Row("key_cache", _PAGES, torch.uint8, gaps=1, written=True),
        Row("value_cache", _PAGES, torch.uint8, gaps=1, written=True),
        Row("slot_mapping", "num_tokens?", torch.int64),
        Row("k_scale", "", torch.float32),
        Row("v_scale", "", torch.float32),
    ),
    build=lambda variant, device: nvfp4.arguments_of(
        replace(nvfp4.CASE, dtype=variant.half, spare_tokens=0), device
    ),
    call=stablekv.reshape_and_cache_flash,
    check=nvfp4.check,
    build_empty=lambda device: nvfp4.arguments_of(replace(nvfp4.CASE, slots=()), device),
    refusals=(
        *(
            Refusal(f"slot-{n}", ("slot_mapping",), put("slot_mapping", (4,), n), only_cpu=True)
            for n in (_NUM_SLOTS, 2**63 - 1)
        ),
        Refusal("head_size-96", ("key",), _head_size_of_96),
        Refusal("block_size-14", ("key_cache",), _block_size_of_14),
        Refusal("block_size-0", ("key_cache",), _no_slots),
        Refusal("keys-of-float32", ("kv_cache_dtype",), _keys_of_float32),
        Refusal("value_cache-is-key_cache", ("key_cache",), alias("value_cache", "key_cache")),
    ),
)

FLASH_OPERATORS = (
    RESHAPE_AND_CACHE_FLASH,
    RESHAPE_AND_CACHE_FLASH_BY_HEAD,
    RESHAPE_AND_CACHE_NVFP4,
)
