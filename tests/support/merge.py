"""Calls of merge_attn_states: built from a description, run, and compared with the reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import stablekv
import torch
from stablekv import reference, reference_merge

from tests.support import tensors

# Relative error of float32 arithmetic with two exponentials, a division, two products and a sum.
_ARITHMETIC = 1e-6
_ROUNDING = {torch.float32: 2.0**-24, torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8}
_SMALLEST = {torch.float32: 2.0**-149, torch.float16: 2.0**-24, torch.bfloat16: 2.0**-133}


@dataclass(frozen=True)
class MergeCase:
    """What a call looks like."""

    num_tokens: int = 13
    num_heads: int = 3
    head_size: int = 32
    dtype: torch.dtype = torch.float32
    prefix_tokens: int | None = None
    with_lse: bool = True
    output_scale: float | None = None  # None: no fp8

    def __str__(self) -> str:
        default = MergeCase()
        changed = {n: v for n, v in self.__dict__.items() if v != getattr(default, n)}
        text = ",".join(f"{n}={v}" for n, v in changed.items())
        return text.replace("torch.", "") or "default"


def arguments_of(case: MergeCase, device: str, seed: int = 0) -> dict[str, Any]:
    """The arguments of merge_attn_states, by name and in order.

    Every lse but a few is finite; of these each pair of finite, +inf and -inf occurs where there
    are rows enough.
    """
    random = torch.Generator().manual_seed(seed)
    states = (case.num_tokens, case.num_heads, case.head_size)
    lses = (case.num_heads, case.num_tokens)
    fp8 = case.output_scale is not None
    output_dtype = torch.float8_e4m3fn if fp8 else case.dtype

    prefix_lse = torch.randn(lses, generator=random) * 4
    suffix_lse = torch.randn(lses, generator=random) * 4
    inf = torch.inf
    pairs = ((inf, 1.0), (-inf, 1.0), (1.0, inf), (1.0, -inf), (inf, inf), (inf, -inf))
    pairs += ((-inf, inf), (-inf, -inf), (80.0, -80.0), (-1e30, 1e30))
    places = torch.randperm(prefix_lse.numel(), generator=random)[: len(pairs)]
    for place, (a, b) in zip(places.tolist(), pairs, strict=False):
        prefix_lse.view(-1)[place], suffix_lse.view(-1)[place] = a, b

    arguments = {
        "output": tensors.poisoned(states, output_dtype, "cpu"),
        "output_lse": tensors.poisoned(lses, torch.float32, "cpu") if case.with_lse else None,
        "prefix_output": torch.randn(states, generator=random).to(case.dtype),
        "prefix_lse": prefix_lse,
        "suffix_output": torch.randn(states, generator=random).to(case.dtype),
        "suffix_lse": suffix_lse,
        "prefill_tokens_with_context": case.prefix_tokens,
        "output_scale": torch.tensor(case.output_scale) if fp8 else None,
    }
    return {n: v.to(device) if isinstance(v, torch.Tensor) else v for n, v in arguments.items()}


def check(arguments: dict[str, Any]) -> None:
    """Runs merge_attn_states and compares with the reference.

    Where a state is taken as it is, bits must be equal. A sum may be off by the rounding errors of
    float32 arithmetic, which go with its larger term, and by the final rounding; fp8 must be the
    nearest of a value within the former. Nothing but the outputs may change, and of these not
    what lies between their elements.
    """
    before = tensors.snapshot(arguments)
    stablekv.merge_attn_states(**arguments)
    given = {n: v.cpu() if isinstance(v, torch.Tensor) else v for n, v in arguments.items()}
    prefix, suffix = given["prefix_output"], given["suffix_output"]
    values, lses = reference_merge.merged(
        prefix, given["prefix_lse"], suffix, given["suffix_lse"], *_prefix_tokens(given)
    )
    from_prefix, from_suffix = _taken_as_they_are(given)
    sums = ~(from_prefix | from_suffix).T[:, :, None].expand(prefix.shape)
    slack = _ARITHMETIC * (prefix.double().abs() + suffix.double().abs())
    if given["output_scale"] is None:
        for taken, source in ((from_prefix, prefix), (from_suffix, suffix)):
            got, want = given["output"].transpose(0, 1), source.transpose(0, 1)
            assert torch.equal(tensors.bytes_of(got)[taken], tensors.bytes_of(want)[taken])
        allowed = slack + _ROUNDING[prefix.dtype] * values.abs() + _SMALLEST[prefix.dtype]
        _check_near(given["output"].double(), values, allowed, sums, prefix.dtype)
    else:
        _check_fp8(given, values, slack, sums)
    if given["output_lse"] is not None:
        _check_lse(given, lses, from_suffix)
    written = [name for name in ("output", "output_lse") if given[name] is not None]
    assert not tensors.changed(before, arguments, but=written)


def _prefix_tokens(given: dict[str, Any]) -> tuple[int, ...]:
    tokens = given["prefill_tokens_with_context"]
    return () if tokens is None else (tokens,)


def _taken_as_they_are(given: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """Which rows [num_heads, num_tokens] are the prefix's and which the suffix's."""
    empty = [given[name].isinf() for name in ("prefix_lse", "suffix_lse")]
    prefix = empty[0] & empty[1]
    suffix = torch.zeros_like(prefix)
    for tokens in _prefix_tokens(given):
        prefix[:, tokens:], suffix[:, tokens:] = False, True
    return prefix, suffix


def _check_near(got, want, allowed, where, dtype):
    """NaN for NaN, infinities equal, the rest within `allowed` or both too large for the dtype."""
    off = ~((got - want).abs() <= allowed) & (got != want) & ~(got.isnan() & want.isnan())
    off &= ~(got.isinf() & (want.sign() == got.sign()) & (want.abs() + allowed >= _largest(dtype)))
    off &= where
    if off.any():
        place = tuple(off.nonzero()[0].tolist())
        raise AssertionError(f"{int(off.sum())} off, at {place}: {got[place]} not {want[place]}")


def _largest(dtype):
    return torch.finfo(dtype).max


def _check_fp8(given, values, slack, sums):
    one, e4m3 = torch.ones(()), torch.float8_e4m3fn
    inverse = 1.0 / given["output_scale"].float().reshape(())
    got = given["output"].view(torch.uint8)
    exact = reference.encode_fp8(values.float() * inverse, one, e4m3)
    assert torch.equal(got[~sums], exact[~sums])
    low = reference.encode_fp8((values - slack).float() * inverse, one, e4m3)
    high = reference.encode_fp8((values + slack).float() * inverse, one, e4m3)
    fits = (got == low) | (got == high) | (got == exact)
    assert fits.all(), (~fits).nonzero()[0].tolist()


def _check_lse(given, lses, from_suffix):
    got = given["output_lse"]
    suffix_lse = given["suffix_lse"].contiguous().view(torch.int32)
    assert torch.equal(got.contiguous().view(torch.int32)[from_suffix], suffix_lse[from_suffix])
    torch.testing.assert_close(got.double(), lses, rtol=1e-6, atol=1e-6, equal_nan=True)
