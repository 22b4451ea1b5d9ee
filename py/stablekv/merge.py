"""Merging attention over two parts of the keys of the same queries."""

from __future__ import annotations

import torch

from stablekv import _library


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
    """Merges attention over a prefix of the keys and over the suffix into attention over both.

    With a = prefix_lse[h, t], b = suffix_lse[h, t], either read as -inf where it is +inf (how some
    kernels mark a row that attends to nothing), and m = max(a, b), for t <
    prefill_tokens_with_context:

        m = -inf:  output[t, h] = prefix_output[t, h],  output_lse[h, t] = -inf
        else:      output[t, h] = prefix_output[t, h] * (exp(a - m) / z)
                                + suffix_output[t, h] * (exp(b - m) / z)
                   output_lse[h, t] = log(z) + m        where z = exp(a - m) + exp(b - m)

    in float32 with one rounding at the end. Later tokens have no prefix: output[t, h] =
    suffix_output[t, h] and output_lse[h, t] = suffix_lse[h, t], bit for bit, and the prefix is not
    read. A weight of zero does not hide a NaN or an infinity.

    With `output_scale` the output is float8_e4m3fn: the float32 value times (1 / output_scale),
    rounded to nearest even and saturated at 448; NaN becomes 0x7F. A sum is not rounded to the
    dtype of the inputs before.

    Args:
        output: [num_tokens, num_heads, head_size], written; the dtype of `prefix_output`, or
            float8_e4m3fn with `output_scale`. As all of this shape: contiguous elements, any
            strides between tokens and heads.
        output_lse: [num_heads, num_tokens] float32, written; None when it is not wanted. As all of
            this shape: any strides.
        prefix_output: [num_tokens, num_heads, head_size], float32, float16 or bfloat16.
        prefix_lse: [num_heads, num_tokens] float32, logarithms of the sums of exponentials.
        suffix_output: as `prefix_output`.
        suffix_lse: as `prefix_lse`.
        prefill_tokens_with_context: tokens that have a prefix, 0 to num_tokens; all when None.
        output_scale: one float32 value on the device of the output, or None.

    Raises:
        RuntimeError: an argument is not as above; nothing is written.

    Source: the operator of vLLM of this name and schema, in its later form, which honours the
    strides of the lse. That one needs head sizes of a multiple of 16 bytes; this one takes any.
    """
    _library.merge_attn_states(
        output,
        output_lse,
        prefix_output,
        prefix_lse,
        suffix_output,
        suffix_lse,
        prefill_tokens_with_context,
        output_scale,
    )
