"""What reshape_and_cache and paged attention compute, in plain torch: slow, obvious, the oracle of
their tests; and fp8 as all references take it.

One function per operator with the operator's own arguments, and the pieces that they share.
Arithmetic that rounds is done in float64; bytes are made by the formulas of the fp8 formats, not by
a cast. Arguments are taken to be valid.
"""

from __future__ import annotations

from typing import Any

import torch

from stablekv import layouts

# (exponent bias, mantissa bits, largest finite value) of a format.
_FP8_PARAMETERS = {
    torch.float8_e4m3fn: (7, 3, 448.0),
    torch.float8_e5m2: (15, 2, 57344.0),
}


def encode_fp8(x: torch.Tensor, scale: torch.Tensor, float8: torch.dtype) -> torch.Tensor:
    """The bytes that store `x` in an fp8 cache: uint8, in the shape of `x`.

    The float32 quotient x / scale is rounded to the nearest value of the format, ties to the even
    mantissa. Whatever is larger than the largest finite value, infinities included, becomes that
    value; NaN becomes 0x7F in both formats and loses its sign; -0 stays -0.
    """
    bias, mantissa_bits, largest = _FP8_PARAMETERS[float8]
    quotient = x.float() / scale.float().reshape(-1)[0]
    nan = quotient.isnan()
    magnitude = quotient.double().abs().clamp(max=largest).masked_fill(nan, 0.0)

    # Values come in steps of 2^(exponent - mantissa_bits); subnormals share the lowest exponent.
    lowest = 1 - bias
    exponent = _floor_log2(magnitude).clamp(min=lowest)
    steps = torch.round(magnitude / torch.exp2(exponent - mantissa_bits))  # ties to even
    rounded = (steps * torch.exp2(exponent - mantissa_bits)).clamp(max=largest)

    # Rounding up may have reached the next exponent, so the code is made from the rounded value.
    exponent = _floor_log2(rounded).clamp(min=lowest)
    steps = (rounded / torch.exp2(exponent - mantissa_bits)).long()
    implicit_one = 1 << mantissa_bits
    normal = steps >= implicit_one
    field = torch.where(normal, exponent.long() + bias, 0)
    code = (field << mantissa_bits) | torch.where(normal, steps - implicit_one, steps)
    code = code | (quotient.signbit().long() << 7)
    return code.masked_fill(nan, 0x7F).to(torch.uint8)


def decode_fp8(codes: torch.Tensor, scale: torch.Tensor, float8: torch.dtype) -> torch.Tensor:
    """The values of fp8 bytes, times `scale`: float64, in the shape of `codes` (uint8)."""
    bias, mantissa_bits, _ = _FP8_PARAMETERS[float8]
    code = codes.long()
    sign = 1.0 - 2.0 * (code >> 7).double()
    field = (code & 0x7F) >> mantissa_bits
    mantissa = code & ((1 << mantissa_bits) - 1)
    fraction = mantissa.double() / (1 << mantissa_bits)
    normal = torch.exp2((field - bias).double()) * (1.0 + fraction)
    subnormal = torch.exp2(torch.tensor(1.0 - bias, dtype=torch.float64)) * fraction
    value = torch.where(field > 0, normal, subnormal)
    if float8 == torch.float8_e4m3fn:
        value = value.masked_fill((code & 0x7F) == 0x7F, float("nan"))
    else:
        value = value.masked_fill((field == 31) & (mantissa == 0), float("inf"))
        value = value.masked_fill((field == 31) & (mantissa != 0), float("nan"))
    return sign * value * scale.double().reshape(-1)[0]


def reshape_and_cache(
    key: torch.Tensor,
    value: torch.Tensor,
    key_cache: torch.Tensor,
    value_cache: torch.Tensor,
    slot_mapping: torch.Tensor,
    kv_cache_dtype: str,
    k_scale: torch.Tensor,
    v_scale: torch.Tensor,
) -> None:
    """As stablekv.reshape_and_cache."""
    block_size, x = key_cache.shape[3], key_cache.shape[4]
    key_cache, value_cache = _as_stored(key_cache), _as_stored(value_cache)
    stored_key = _stored(key, k_scale, kv_cache_dtype)
    stored_value = _stored(value, v_scale, kv_cache_dtype)
    for token, slot in enumerate(slot_mapping.tolist()):
        if slot < 0:
            continue
        block, offset = divmod(slot, block_size)
        key_cache[block, :, :, offset, :] = stored_key[token].unflatten(1, (-1, x))
        value_cache[block, :, :, offset] = stored_value[token]


def paged_attention_v1(
    out: torch.Tensor,
    query: torch.Tensor,
    key_cache: torch.Tensor,
    value_cache: torch.Tensor,
    num_kv_heads: int,
    scale: float,
    block_tables: torch.Tensor,
    seq_lens: torch.Tensor,
    block_size: int,
    max_seq_len: int,
    alibi_slopes: torch.Tensor | None,
    kv_cache_dtype: str,
    k_scale: torch.Tensor,
    v_scale: torch.Tensor,
    tp_rank: int = 0,
    blocksparse_local_blocks: int = 0,
    blocksparse_vert_stride: int = 0,
    blocksparse_block_size: int = 64,
    blocksparse_head_sliding_step: int = 0,
) -> None:
    """As stablekv.paged_attention_v1."""
    rows = attention(
        query,
        key_cache,
        value_cache,
        num_kv_heads,
        scale,
        block_tables,
        seq_lens,
        block_size,
        alibi_slopes,
        kv_cache_dtype,
        k_scale,
        v_scale,
        tp_rank,
        blocksparse_local_blocks,
        blocksparse_vert_stride,
        blocksparse_block_size,
        blocksparse_head_sliding_step,
    )
    out.copy_(rows)


def paged_attention_v2(
    out: torch.Tensor,
    exp_sums: torch.Tensor,
    max_logits: torch.Tensor,
    tmp_out: torch.Tensor,
    query: torch.Tensor,
    *arguments: Any,
    **named_arguments: Any,
) -> None:
    """As stablekv.paged_attention_v2: the same result as v1, and the scratch is not an output."""
    paged_attention_v1(out, query, *arguments, **named_arguments)


def attention(
    query: torch.Tensor,
    key_cache: torch.Tensor,
    value_cache: torch.Tensor,
    num_kv_heads: int,
    scale: float,
    block_tables: torch.Tensor,
    seq_lens: torch.Tensor,
    block_size: int,
    alibi_slopes: torch.Tensor | None,
    kv_cache_dtype: str,
    k_scale: torch.Tensor,
    v_scale: torch.Tensor,
    tp_rank: int = 0,
    blocksparse_local_blocks: int = 0,
    blocksparse_vert_stride: int = 0,
    blocksparse_block_size: int = 64,
    blocksparse_head_sliding_step: int = 0,
) -> torch.Tensor:
    """What paged attention computes, before rounding: float64 [num_seqs, num_heads, head_size]."""
    num_heads = query.shape[1]
    result = torch.zeros(query.shape, dtype=torch.float64, device=query.device)
    for sequence, length in enumerate(seq_lens.tolist()):
        if length == 0:
            continue
        table = block_tables[sequence]
        keys = gather_keys(key_cache, table, length, block_size, kv_cache_dtype, k_scale)
        values = gather_values(value_cache, table, length, block_size, kv_cache_dtype, v_scale)
        keys = keys.repeat_interleave(num_heads // num_kv_heads, dim=1)
        values = values.repeat_interleave(num_heads // num_kv_heads, dim=1)

        logits = scale * torch.einsum("hd,thd->ht", query[sequence].double(), keys)
        if alibi_slopes is not None:
            distance = torch.arange(length, device=query.device) - (length - 1)
            logits += alibi_slopes.double()[:, None] * distance
        if blocksparse_vert_stride > 1:
            attended = block_sparse_mask(
                length,
                block_size,
                num_heads,
                num_kv_heads,
                tp_rank,
                blocksparse_local_blocks,
                blocksparse_vert_stride,
                blocksparse_block_size,
                blocksparse_head_sliding_step,
            ).to(query.device)
            logits.masked_fill_(~attended, float("-inf"))
            values = values.where(attended.T[:, :, None], 0.0)  # NaN there does not matter
        weights = logits.softmax(dim=1)
        weights[logits.isneginf().all(dim=1)] = 0.0  # of skipped tokens, or of keys: no weight
        result[sequence] = torch.einsum("ht,thd->hd", weights, values)
    return result


def gather_keys(
    key_cache: torch.Tensor,
    table: torch.Tensor,
    length: int,
    block_size: int,
    kv_cache_dtype: str,
    k_scale: torch.Tensor,
) -> torch.Tensor:
    """The keys of one sequence: float64 [length, num_kv_heads, head_size]."""
    blocks = _as_stored(key_cache)[_used(table, length, block_size)]
    num_kv_heads = blocks.shape[1]
    # [blocks, heads, chunks, tokens, x] -> [blocks, tokens, heads, chunks, x]
    tokens = blocks.permute(0, 3, 1, 2, 4).reshape(len(blocks) * block_size, num_kv_heads, -1)
    return _loaded(tokens[:length], kv_cache_dtype, k_scale)


def gather_values(
    value_cache: torch.Tensor,
    table: torch.Tensor,
    length: int,
    block_size: int,
    kv_cache_dtype: str,
    v_scale: torch.Tensor,
) -> torch.Tensor:
    """The values of one sequence: float64 [length, num_kv_heads, head_size]."""
    blocks = _as_stored(value_cache)[_used(table, length, block_size)]
    # [blocks, heads, head_size, tokens] -> [blocks, tokens, heads, head_size]
    tokens = blocks.permute(0, 3, 1, 2).reshape(len(blocks) * block_size, *blocks.shape[1:3])
    return _loaded(tokens[:length], kv_cache_dtype, v_scale)


def block_sparse_mask(
    length: int,
    block_size: int,
    num_heads: int,
    num_kv_heads: int,
    tp_rank: int,
    local_blocks: int,
    vert_stride: int,
    sparse_block_size: int,
    head_sliding_step: int,
) -> torch.Tensor:
    """Which tokens a head attends to under an active pattern: bool [num_heads, length]."""
    mask = torch.zeros(num_heads, length, dtype=torch.bool)
    query_block = (length - 1) // sparse_block_size
    for head in range(num_heads):
        kv_head = head // (num_heads // num_kv_heads)
        if head_sliding_step >= 0:
            offset = (tp_rank * num_heads + head) * head_sliding_step + 1
        else:
            offset = (tp_rank * num_kv_heads + kv_head) * -head_sliding_step + 1
        for token in range(length):
            first_of_block = token // block_size * block_size
            key_block = first_of_block // sparse_block_size
            vertical = (key_block + offset) % vert_stride == 0
            local = key_block > query_block - local_blocks
            mask[head, token] = vertical or local
    return mask


def _floor_log2(x: torch.Tensor) -> torch.Tensor:
    """floor(log2(x)) in float64, exactly; some large negative number for 0."""
    mantissa, exponent = torch.frexp(x)
    return torch.where(mantissa == 0, -1000, exponent - 1).double()


def _used(table: torch.Tensor, length: int, block_size: int) -> torch.Tensor:
    """The entries of a table that a sequence of `length` tokens has filled."""
    return table[: (length + block_size - 1) // block_size].long()


def _as_stored(cache: torch.Tensor) -> torch.Tensor:
    """A cache of fp8 elements as bytes, any other as it is."""
    return cache.view(torch.uint8) if cache.dtype.itemsize == 1 else cache


def _stored(x: torch.Tensor, scale: torch.Tensor, kv_cache_dtype: str) -> torch.Tensor:
    if layouts.is_fp8(kv_cache_dtype):
        return encode_fp8(x, scale, layouts.FP8_FORMATS[kv_cache_dtype])
    return x


def _loaded(stored: torch.Tensor, kv_cache_dtype: str, scale: torch.Tensor) -> torch.Tensor:
    if layouts.is_fp8(kv_cache_dtype):
        return decode_fp8(stored, scale, layouts.FP8_FORMATS[kv_cache_dtype])
    return stored.double()


# The one NaN that arithmetic gives: every bit but the sign.
NAN_BITS = {torch.float32: 0x7FFFFFFF, torch.float16: 0x7FFF, torch.bfloat16: 0x7FFF}


def bits(tensor: torch.Tensor) -> torch.Tensor:
    """The elements as integers, in the tensor's memory: copies are exact whatever they are."""
    integers = {1: torch.uint8, 2: torch.int16, 4: torch.int32}
    return tensor.view(integers[tensor.dtype.itemsize])
