"""What the MLA operators compute, in plain torch: slow, obvious, and the oracle of their tests.

One function per operator with the operator's own arguments, and the layouts of what they write.
Arguments are taken to be valid.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from stablekv import layouts
from stablekv.reference import NAN_BITS, bits, encode_fp8

DS_MLA = "fp8_ds_mla"
_LARGEST_E4M3 = 448.0

# The bytes of a token in an fp8_ds_mla cache.
DS_MLA_TILE = 128
DS_MLA_SCALES = slice(512, 528)
DS_MLA_ROPE = slice(528, 656)
DS_MLA_BYTES = 656


def concat_and_cache_mla(
    kv_c: torch.Tensor,
    k_pe: torch.Tensor,
    kv_cache: torch.Tensor,
    slot_mapping: torch.Tensor,
    kv_cache_dtype: str,
    scale: torch.Tensor,
) -> None:
    """As stablekv.concat_and_cache_mla."""
    cache = bits(kv_cache)
    for token, block, offset in _written(slot_mapping, kv_cache.shape[1]):
        if kv_cache_dtype == DS_MLA:
            cache[block, offset] = ds_mla_token(kv_c[token], k_pe[token])
        else:
            row = torch.cat([kv_c[token], k_pe[token]])
            cache[block, offset] = _stored(row, kv_cache_dtype, scale)


def ds_mla_token(kv_c: torch.Tensor, k_pe: torch.Tensor) -> torch.Tensor:
    """The 656 bytes of one token: uint8, from 512 and 64 elements."""
    token = torch.empty(DS_MLA_BYTES, dtype=torch.uint8)
    tiles = kv_c.reshape(-1, DS_MLA_TILE)
    smallest = torch.finfo(torch.float32).tiny
    scales = (_amax(tiles) / _LARGEST_E4M3).clamp(min=smallest)
    token[: DS_MLA_SCALES.start] = _quotients(tiles, scales)
    token[DS_MLA_SCALES] = scales.view(torch.uint8)
    token[DS_MLA_ROPE] = k_pe.contiguous().view(torch.uint8)
    return token


def concat_and_cache_mla_rope_fused(
    positions: torch.Tensor,
    q_pe: torch.Tensor,
    k_pe: torch.Tensor,
    kv_c: torch.Tensor,
    cos_sin_cache: torch.Tensor,
    is_neox: bool,
    slot_mapping: torch.Tensor,
    kv_cache: torch.Tensor,
    kv_cache_dtype: str,
    kv_cache_scale: torch.Tensor,
) -> None:
    """As stablekv.concat_and_cache_mla_rope_fused."""
    for token, _, _ in _written(slot_mapping, kv_cache.shape[1]):
        cos, sin = cos_sin_cache[positions[token]].chunk(2)
        for rows in (q_pe, k_pe):
            bits(rows)[token] = bits(rotated(rows[token], cos, sin, is_neox))
    concat_and_cache_mla(kv_c, k_pe, kv_cache, slot_mapping, kv_cache_dtype, kv_cache_scale)


def rotated(
    rows: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, is_neox: bool
) -> torch.Tensor:
    """Rows [..., pe_dim] rotated by cosines and sines [pe_dim / 2], each operator rounded.

    torch's own arithmetic on 16-bit tensors: an operator computes in float32 and rounds.
    """
    x, y = rows.chunk(2, dim=-1) if is_neox else (rows[..., 0::2], rows[..., 1::2])
    x, y = x * cos - y * sin, y * cos + x * sin
    pairs = torch.cat([x, y], dim=-1) if is_neox else torch.stack([x, y], dim=-1).flatten(-2)
    nan = torch.tensor(NAN_BITS[rows.dtype], dtype=bits(rows).dtype)
    return torch.where(pairs.isnan(), nan.view(rows.dtype), pairs)


def concat_mla_q(ql_nope: torch.Tensor, q_pe: torch.Tensor, q_out: torch.Tensor) -> None:
    """As stablekv.concat_mla_q."""
    bits(q_out).copy_(torch.cat([bits(ql_nope), bits(q_pe)], dim=-1))


def indexer_k_quant_and_cache(
    k: torch.Tensor,
    kv_cache: torch.Tensor,
    slot_mapping: torch.Tensor,
    quant_block_size: int,
    kv_cache_dtype: str,
) -> None:
    """As stablekv.indexer_k_quant_and_cache."""
    block_size, head_dim = kv_cache.shape[1], k.shape[1]
    num_groups = head_dim // quant_block_size
    for token, block, offset in _written(slot_mapping, block_size):
        page = kv_cache[block].view(torch.uint8).view(-1)
        groups = k[token].reshape(num_groups, quant_block_size)
        scales = indexer_scale(_amax(groups), kv_cache_dtype)
        value_at = offset * head_dim
        scale_at = block_size * head_dim + offset * num_groups * 4
        page[value_at : value_at + head_dim] = _quotients(groups, scales)
        page[scale_at : scale_at + num_groups * 4] = scales.view(torch.uint8)


def indexer_scale(amax: torch.Tensor, scale_format: str) -> torch.Tensor:
    """The scale of groups of these largest magnitudes: float32, in the shape of `amax`."""
    scale = amax.clamp(min=1e-4) / _LARGEST_E4M3
    if scale_format != "ue8m0":
        return scale
    # frexp gives scale = mantissa * 2^exponent, 0.5 <= mantissa < 1.
    mantissa, exponent = torch.frexp(scale)
    power = torch.where(mantissa == 0.5, exponent - 1, exponent)
    return torch.where(scale.isinf(), scale, torch.exp2(power.double()).float())


def _written(slot_mapping: torch.Tensor, block_size: int) -> Iterator[tuple[int, int, int]]:
    """Token, block and offset of every slot that is not padding."""
    for token, slot in enumerate(slot_mapping.tolist()):
        if slot >= 0:
            yield token, *divmod(slot, block_size)


def _amax(groups: torch.Tensor) -> torch.Tensor:
    """The largest magnitude of each row, NaN left out: float32 [rows]."""
    return groups.float().abs().nan_to_num(nan=0.0, posinf=float("inf")).amax(dim=1)


def _quotients(groups: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """The e4m3 codes of rows divided by their scales, in float32: uint8, flat."""
    one = torch.ones((), device=groups.device)
    return encode_fp8(groups.float() / scales[:, None], one, torch.float8_e4m3fn).flatten()


def _stored(x: torch.Tensor, kv_cache_dtype: str, scale: torch.Tensor) -> torch.Tensor:
    """The bits that a cache has for elements."""
    if layouts.is_fp8(kv_cache_dtype):
        return encode_fp8(x, scale, layouts.FP8_FORMATS[kv_cache_dtype])
    return bits(x)
