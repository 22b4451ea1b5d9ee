"""The MLA operators' part of the table of operators.

concat_and_cache_mla is there twice: what "fp8_ds_mla" takes has nothing to do with the rest.
"""

from __future__ import annotations

from dataclasses import replace

import stablekv
import torch

from tests.support import mla
from tests.support.changes import alias, assign, put, view_of, wrong_kv_cache_dtypes
from tests.support.contract import (
    CACHE,
    ELEMENT,
    HALF,
    Arguments,
    Change,
    Operator,
    Refusal,
    Row,
    Variant,
)
from tests.support.mla import MlaCase

_NAMESPACE = "_C_cache_ops"
_CASE = MlaCase(spare_tokens=0)
_NUM_SLOTS = _CASE.num_blocks * _CASE.block_size


def _case(variant: Variant) -> MlaCase:
    return replace(_CASE, dtype=variant.dtype, kv_cache_dtype=variant.kv_cache_dtype)


def _as_float32(*names: str) -> Change:
    def change(arguments: Arguments) -> None:
        for name in names:
            arguments[name] = torch.zeros_like(arguments[name], dtype=torch.float32)

    return change


def _without_elements(name: str) -> Change:
    """A tensor whose rows have none."""

    def change(arguments: Arguments) -> None:
        arguments[name] = arguments[name][..., :0].contiguous()

    return change


_SLOTS = tuple(
    Refusal(f"slot-{n}", ("slot_mapping",), put("slot_mapping", (4,), n), only_cpu=True)
    for n in (_NUM_SLOTS, _NUM_SLOTS + 1, 2**40, 2**63 - 1)
)
_NO_BLOCK_SIZE = Refusal(
    "block_size-0",
    ("kv_cache",),
    lambda arguments: assign(kv_cache=arguments["kv_cache"][:, :0])(arguments),
)

CONCAT_AND_CACHE_MLA = Operator(
    name="concat_and_cache_mla",
    namespace=_NAMESPACE,
    rows=(
        Row("kv_c", "num_tokens+ kv_lora_rank", ELEMENT, gaps=1),
        Row("k_pe", "num_tokens+ pe_dim", ELEMENT, gaps=1),
        Row("kv_cache", "num_blocks? block_size? entry", CACHE, gaps=2, written=True),
        Row("slot_mapping", "num_tokens?", torch.int64),
        Row("scale", "", torch.float32),
    ),
    build=lambda variant, device: mla.writer_arguments(_case(variant), device),
    call=stablekv.concat_and_cache_mla,
    check=mla.check_writer,
    build_empty=lambda device: mla.writer_arguments(MlaCase(slots=()), device),
    refusals=(
        *_SLOTS,
        _NO_BLOCK_SIZE,
        Refusal("kv_c-without-elements", ("kv_c",), _without_elements("kv_c")),
        Refusal("k_pe-without-elements", ("k_pe",), _without_elements("k_pe")),
        Refusal("kv_c-in-kv_cache", ("kv_cache",), view_of("kv_c", "kv_cache")),
        Refusal("k_pe-in-kv_cache", ("kv_cache",), view_of("k_pe", "kv_cache")),
        *wrong_kv_cache_dtypes("kv_c", "kv_cache"),
    ),
)


def _ds_mla_case(variant: Variant) -> MlaCase:
    return replace(
        _CASE, dtype=variant.half, kv_cache_dtype=mla.DS_MLA, kv_lora_rank=512, pe_dim=64
    )


CONCAT_AND_CACHE_DS_MLA = replace(
    CONCAT_AND_CACHE_MLA,
    rows=(
        Row("kv_c", "num_tokens+ kv_lora_rank", HALF, gaps=1),
        Row("k_pe", "num_tokens+ pe_dim", HALF, gaps=1),
        Row("kv_cache", "num_blocks? block_size? entry", torch.uint8, gaps=2, written=True),
        Row("slot_mapping", "num_tokens?", torch.int64),
        Row("scale", "", torch.float32),
    ),
    build=lambda variant, device: mla.writer_arguments(_ds_mla_case(variant), device),
    build_empty=lambda device: mla.writer_arguments(
        replace(_ds_mla_case(Variant(torch.float16, mla.DS_MLA)), slots=()), device
    ),
    refusals=(
        *_SLOTS,
        _NO_BLOCK_SIZE,
        Refusal("ds_mla-of-float32", ("kv_c",), _as_float32("kv_c", "k_pe")),
        Refusal("ds_mla-as-fp8", ("kv_cache",), assign(kv_cache_dtype="fp8")),
        Refusal("ds_mla-as-auto", ("kv_cache",), assign(kv_cache_dtype="auto")),
    ),
)

# Positions and slots that only the CPU can look at; padding's position is nobody's business.
_POSITIONS = tuple(
    Refusal(f"position-{n}", ("positions",), put("positions", (4,), n), only_cpu=True)
    for n in (-1, 50, 2**40, -(2**63))
)
_WRITTEN_AND_OTHER = (
    ("q_pe", "k_pe"),
    ("q_pe", "kv_c"),
    ("q_pe", "kv_cache"),
    ("k_pe", "kv_c"),
    ("k_pe", "cos_sin_cache"),
    ("kv_cache", "kv_c"),
    ("kv_cache", "cos_sin_cache"),
)


def _sharing_memory(one: str, other: str) -> Change:
    """Puts two tensors into one memory."""

    def change(arguments: Arguments) -> None:
        sizes = [arguments[name].numel() for name in (one, other)]
        memory = arguments[one].new_zeros(max(sizes))
        for name, size in zip((one, other), sizes, strict=True):
            arguments[name] = memory[:size].view(arguments[name].shape)

    return change


CONCAT_AND_CACHE_MLA_ROPE_FUSED = Operator(
    name="concat_and_cache_mla_rope_fused",
    namespace=_NAMESPACE,
    rows=(
        Row("positions", "num_tokens+", torch.int64),
        Row("q_pe", "num_tokens+ num_heads? pe_dim", ELEMENT, gaps=2, written=True),
        Row("k_pe", "num_tokens+ pe_dim", ELEMENT, gaps=1, written=True),
        Row("kv_c", "num_tokens+ kv_lora_rank", ELEMENT, gaps=1),
        Row("cos_sin_cache", "num_positions? pe_dim", ELEMENT, gaps=1),
        Row("slot_mapping", "num_tokens?", torch.int64),
        Row("kv_cache", "num_blocks? block_size? entry", CACHE, gaps=2, written=True),
        Row("kv_cache_scale", "", torch.float32),
    ),
    build=lambda variant, device: mla.fused_arguments(_case(variant), device),
    call=stablekv.concat_and_cache_mla_rope_fused,
    check=mla.check_fused,
    build_empty=lambda device: mla.fused_arguments(MlaCase(slots=()), device),
    refusals=(
        *_SLOTS,
        *_POSITIONS,
        _NO_BLOCK_SIZE,
        Refusal("q_pe-without-elements", ("q_pe",), _without_elements("q_pe")),
        Refusal("kv_c-without-elements", ("kv_c",), _without_elements("kv_c")),
        *(
            Refusal(f"{one}-shares-{other}", (one,), _sharing_memory(one, other))
            for one, other in _WRITTEN_AND_OTHER
        ),
        *wrong_kv_cache_dtypes("q_pe", "kv_cache"),
    ),
)


def _concat_case(variant: Variant) -> MlaCase:
    return MlaCase(slots=(0, 1), kv_lora_rank=512, pe_dim=64, dtype=variant.half)


def _nope_dim(size: int) -> Change:
    def change(arguments: Arguments) -> None:
        for name, columns in (("ql_nope", size), ("q_out", size + 64)):
            arguments[name] = arguments[name].new_zeros(2, 3, columns)

    return change


CONCAT_MLA_Q = Operator(
    name="concat_mla_q",
    namespace=_NAMESPACE,
    rows=(
        Row("ql_nope", "num_tokens num_heads nope_dim", HALF, gaps=2),
        Row("q_pe", "num_tokens num_heads rope_dim", HALF, gaps=2),
        Row("q_out", "num_tokens num_heads entry", HALF, gaps=2, written=True),
    ),
    build=lambda variant, device: mla.concat_arguments(_concat_case(variant), device),
    call=stablekv.concat_mla_q,
    check=mla.check_concat,
    build_empty=lambda device: mla.concat_arguments(
        replace(_concat_case(Variant(torch.float16, "auto")), slots=()), device
    ),
    refusals=(
        Refusal("float32", ("ql_nope",), _as_float32("ql_nope", "q_pe", "q_out")),
        *(Refusal(f"nope_dim-{n}", ("ql_nope",), _nope_dim(n)) for n in (0, 64, 500, 768)),
        Refusal("q_pe-in-q_out", ("q_out",), view_of("q_pe", "q_out")),
        Refusal("ql_nope-in-q_out", ("q_out",), view_of("ql_nope", "q_out")),
        Refusal("q_out-is-q_pe", ("q_out",), alias("q_out", "q_pe")),
    ),
)


def _indexer_case(variant: Variant) -> MlaCase:
    scales = "ue8m0" if variant.half == torch.float16 else ""
    return replace(_CASE, dtype=variant.half, kv_cache_dtype=scales)


INDEXER_K_QUANT_AND_CACHE = Operator(
    name="indexer_k_quant_and_cache",
    namespace=_NAMESPACE,
    rows=(
        Row("k", "num_tokens+ head_dim", (torch.float16, torch.bfloat16), gaps=1),
        Row(
            "kv_cache",
            "num_blocks? block_size? entry",
            (torch.uint8, torch.float8_e4m3fn),
            gaps=1,
            written=True,
        ),
        Row("slot_mapping", "num_tokens?", torch.int64),
    ),
    build=lambda variant, device: mla.indexer_arguments(_indexer_case(variant), device),
    call=stablekv.indexer_k_quant_and_cache,
    check=mla.check_indexer,
    build_empty=lambda device: mla.indexer_arguments(
        MlaCase(slots=(), dtype=torch.bfloat16), device
    ),
    refusals=(
        *_SLOTS,
        _NO_BLOCK_SIZE,
        *(
            Refusal(f"quant_block_size-{n}", ("quant_block_size",), assign(quant_block_size=n))
            for n in (-16, 0, 10, 32, 96)
        ),
        Refusal("quant_block_size-not-the-cache's", ("kv_cache",), assign(quant_block_size=8)),
        Refusal("k-without-elements", ("k",), _without_elements("k")),
    ),
)

MLA_OPERATORS = (
    CONCAT_AND_CACHE_MLA,
    CONCAT_AND_CACHE_DS_MLA,
    CONCAT_AND_CACHE_MLA_ROPE_FUSED,
    CONCAT_MLA_Q,
    INDEXER_K_QUANT_AND_CACHE,
)
