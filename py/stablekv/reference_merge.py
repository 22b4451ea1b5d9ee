"""What merge_attn_states computes, in plain torch: slow, obvious, and the oracle of its tests."""

from __future__ import annotations

import torch

from stablekv.reference import encode_fp8


def merge_attn_states(
    output: torch.Tensor,
    output_lse: torch.Tensor | None,
    prefix_output: torch.Tensor,
    prefix_lse: torch.Tensor,
    suffix_output: torch.Tensor,
    suffix_lse: torch.Tensor,
    prefill_tokens_with_context: int | None = None,
    output_scale: torch.Tensor | None = None,
) -> None:
    """As stablekv.merge_attn_states."""
    values, lses = merged(
        prefix_output, prefix_lse, suffix_output, suffix_lse, prefill_tokens_with_context
    )
    if output_lse is not None:
        output_lse.copy_(lses)
    if output_scale is None:
        output.copy_(values)
    else:
        one = torch.ones((), device=output.device)
        quotients = values.float() * (1.0 / output_scale.float().reshape(()))
        output.view(torch.uint8).copy_(encode_fp8(quotients, one, torch.float8_e4m3fn))


def merged(
    prefix_output: torch.Tensor,
    prefix_lse: torch.Tensor,
    suffix_output: torch.Tensor,
    suffix_lse: torch.Tensor,
    prefill_tokens_with_context: int | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The merged values [num_tokens, num_heads, head_size] and lse [num_heads, num_tokens].

    Both are float64, before any rounding. Where one of the two states is taken as it is, its values
    pass through unchanged.
    """
    num_tokens = len(prefix_output)
    prefix_tokens = (
        num_tokens if prefill_tokens_with_context is None else prefill_tokens_with_context
    )
    prefix, suffix = prefix_output.double(), suffix_output.double()
    values, lses = suffix.clone(), suffix_lse.double().clone()

    # Some kernels mark a row that attends to nothing with +inf.
    a, b = prefix_lse.double(), suffix_lse.double()
    a, b = a.masked_fill(a.isposinf(), -torch.inf), b.masked_fill(b.isposinf(), -torch.inf)
    for token in range(prefix_tokens):
        for head in range(prefix_output.shape[1]):
            x, y = a[head, token], b[head, token]
            largest = torch.fmax(x, y)
            if largest == -torch.inf:
                values[token, head] = prefix[token, head]
                lses[head, token] = -torch.inf
                continue
            from_prefix, from_suffix = torch.exp(x - largest), torch.exp(y - largest)
            total = from_prefix + from_suffix
            values[token, head] = prefix[token, head] * (from_prefix / total) + suffix[
                token, head
            ] * (from_suffix / total)
            lses[head, token] = torch.log(total) + largest
    return values, lses
