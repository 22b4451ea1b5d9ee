"""The table's part on merging attention."""

from __future__ import annotations

import dataclasses

import stablekv
import torch
from stablekv import layouts

from tests.support import merge
from tests.support.changes import alias, assign
from tests.support.contract import ELEMENT, OUTPUT, Arguments, Operator, Refusal, Row, Variant
from tests.support.merge import MergeCase

_CASE = MergeCase(num_tokens=7, prefix_tokens=5)
_STATES = "num_tokens num_heads head_size"
_LSES = "num_heads num_tokens"


def _build(variant: Variant, device: str) -> Arguments:
    """With output_scale for the variants in fp8."""
    scale = 0.05 if layouts.is_fp8(variant.kv_cache_dtype) else None
    case = dataclasses.replace(_CASE, dtype=variant.dtype, output_scale=scale)
    return merge.arguments_of(case, device)


def _fp8_without_a_scale(arguments: Arguments) -> None:
    arguments["output"] = torch.zeros_like(arguments["output"], dtype=torch.float8_e4m3fn)


def _a_scale_without_fp8(arguments: Arguments) -> None:
    arguments["output_scale"] = torch.ones((), device=arguments["output"].device)


MERGE_ATTN_STATES = Operator(
    name="merge_attn_states",
    namespace="_C",
    rows=(
        Row("output", _STATES, OUTPUT, gaps=2, written=True),
        Row("output_lse", _LSES, torch.float32, gaps=2, written=True),
        Row("prefix_output", _STATES, ELEMENT, gaps=2),
        Row("prefix_lse", _LSES, torch.float32, gaps=2),
        Row("suffix_output", _STATES, ELEMENT, gaps=2),
        Row("suffix_lse", _LSES, torch.float32, gaps=2),
        Row("output_scale", "", torch.float32),
    ),
    build=_build,
    call=stablekv.merge_attn_states,
    check=merge.check,
    build_empty=lambda device: merge.arguments_of(MergeCase(num_tokens=0), device),
    refusals=(
        *(
            Refusal(
                f"prefill_tokens_with_context-{n}",
                ("prefill_tokens_with_context",),
                assign(prefill_tokens_with_context=n),
            )
            for n in (-1, 8, 2**62)
        ),
        Refusal("fp8-without-a-scale", ("output",), _fp8_without_a_scale),
        Refusal("a-scale-without-fp8", ("output",), _a_scale_without_fp8),
        Refusal("output-is-prefix", ("output",), alias("output", "prefix_output")),
        Refusal("output-is-suffix", ("output",), alias("output", "suffix_output")),
        Refusal("lse-is-prefix's", ("output_lse",), alias("output_lse", "prefix_lse")),
        Refusal("lse-is-suffix's", ("output_lse",), alias("output_lse", "suffix_lse")),
    ),
)
