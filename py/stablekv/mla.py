"""Operators of multi-head latent attention: they write its caches and prepare its queries.

Values inside slots and positions are checked on the CPU before anything is written. On CUDA a token
whose slot or position is out of range is skipped.
"""

from __future__ import annotations

import torch

from stablekv import _library


def concat_and_cache_mla(
    kv_c: torch.Tensor,
    k_pe: torch.Tensor,
    kv_cache: torch.Tensor,
    slot_mapping: torch.Tensor,
    kv_cache_dtype: str,
    scale: torch.Tensor,
) -> None:
    """Writes the latent rows of new tokens, NoPE part and RoPE part, to their slots of the cache.

    For token i with slot s = slot_mapping[i] >= 0, at block b and offset o = divmod(s, block_size):

        kv_cache[b, o, :kv_lora_rank] = store(kv_c[i], scale)
        kv_cache[b, o, kv_lora_rank:] = store(k_pe[i], scale)

    `store` copies, or for an fp8 `kv_cache_dtype` rounds the float32 quotient by the scale to
    nearest even, saturates it at the largest finite value and turns NaN into 0x7F
    (stablekv.reference.encode_fp8). "fp8_ds_mla" writes 656 bytes instead:

        bytes   0 .. 511  e4m3(kv_c[i, d] / tile_scale[d // 128])
        bytes 512 .. 527  tile_scale: 4 float32, max(amax / 448, FLT_MIN), where amax is the largest
                          magnitude of the 128 elements of the tile, NaN left out
        bytes 528 .. 655  the bits of k_pe[i]

    A negative slot is padding: nothing is read or written for it. No other element of the cache
    changes.

    Args:
        kv_c: [>= num_tokens, kv_lora_rank], float32, float16 or bfloat16; rows of contiguous
            elements, any stride between them. "fp8_ds_mla": [>= num_tokens, 512], 16 bits.
        k_pe: [>= num_tokens, pe_dim], as `kv_c`, of its dtype. "fp8_ds_mla": pe_dim is 64.
        kv_cache: [num_blocks, block_size, kv_lora_rank + pe_dim], written; the dtype of `kv_c`, or
            uint8 or the float8 dtype for fp8; [num_blocks, block_size, 656] uint8 for "fp8_ds_mla".
            Any strides between blocks and tokens.
        slot_mapping: [num_tokens] int64, contiguous; slot = block * block_size + offset. Two tokens
            in one slot leave either of them there.
        kv_cache_dtype: "auto", "float16", "bfloat16", "fp8", "fp8_e4m3", "fp8_e5m2" or
            "fp8_ds_mla".
        scale: one float32 value on the device of the cache, read for fp8 only; not for
            "fp8_ds_mla".

    Raises:
        RuntimeError: an argument is not as above. On the CPU also for a slot past the cache, before
            anything is written; on CUDA such a token is skipped.

    Source: the operator of vLLM of this name and schema; there strides of the cache are 32 bits
    wide and "fp8_ds_mla" rows must be aligned, here neither is so.
    """
    _library.concat_and_cache_mla(kv_c, k_pe, kv_cache, slot_mapping, kv_cache_dtype, scale)


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
    """Rotates the RoPE parts of queries and keys in place, and caches the new latent rows.

    For token i with slot_mapping[i] >= 0, every head of q_pe[i] and k_pe[i] are rotated by the row
    of `cos_sin_cache` at positions[i]; then kv_c[i] and the rotated k_pe[i] are written to the slot
    as concat_and_cache_mla does. A pair (x, y) of elements becomes

        (x * cos - y * sin, y * cos + x * sin)

    rounded to the dtype after every operation, not once at the end. Pair j is elements j and
    j + pe_dim / 2 (`is_neox`), or 2j and 2j + 1. A NaN that comes out has all bits set but the
    sign, on every device.

    A negative slot is padding: nothing is read or written for its token, and its q_pe and k_pe are
    not rotated either. Tokens past the last slot are left alone too.

    Args:
        positions: [>= num_tokens] int64, contiguous, each a row of `cos_sin_cache`.
        q_pe: [>= num_tokens, num_heads, pe_dim], written; float32, float16 or bfloat16, pe_dim
            even. Contiguous rows, any strides between tokens and heads.
        k_pe: [>= num_tokens, pe_dim], written; the dtype of `q_pe`, any stride between tokens.
        kv_c: [>= num_tokens, kv_lora_rank], as `k_pe`, not written.
        cos_sin_cache: [num_positions, pe_dim], the dtype of `q_pe`: the cosines of all pairs, then
            the sines. Any stride between rows.
        is_neox: which elements make a pair.
        slot_mapping: [num_tokens] int64, contiguous; slot = block * block_size + offset.
        kv_cache: [num_blocks, block_size, kv_lora_rank + pe_dim], written; the dtype of `q_pe`, or
            uint8 or the float8 dtype for fp8. Any strides between blocks and tokens.
        kv_cache_dtype: "auto", "float16", "bfloat16", "fp8", "fp8_e4m3" or "fp8_e5m2".
        kv_cache_scale: one float32 value on the device of the cache; fp8 only.

    Raises:
        RuntimeError: an argument is not as above, or what is written shares memory with anything
            else. On the CPU also for a slot past the cache and a position past the table, before
            anything is written; on CUDA such a token is skipped.

    Source: the operator of vLLM of this name and schema, as merged and later: padding tokens are
    not rotated (an earlier form rotated q_pe of them), and the number of tokens is that of
    `slot_mapping`.
    """
    _library.concat_and_cache_mla_rope_fused(
        positions,
        q_pe,
        k_pe,
        kv_c,
        cos_sin_cache,
        is_neox,
        slot_mapping,
        kv_cache,
        kv_cache_dtype,
        kv_cache_scale,
    )


def concat_mla_q(ql_nope: torch.Tensor, q_pe: torch.Tensor, q_out: torch.Tensor) -> None:
    """Joins the two parts of MLA queries, bit for bit.

        q_out[..., :nope_dim] = ql_nope
        q_out[..., nope_dim:] = q_pe

    Args:
        ql_nope: [num_tokens, num_heads, nope_dim], float16 or bfloat16, nope_dim a multiple of 512.
        q_pe: [num_tokens, num_heads, 64], the dtype of `ql_nope`.
        q_out: [num_tokens, num_heads, nope_dim + 64], written; the dtype of `ql_nope`.
        All three: contiguous rows, any strides between tokens and heads.

    Raises:
        RuntimeError: an argument is not as above, or q_out shares memory with an input.

    Source: the operator of vLLM of this name and schema, which copies 512 elements whatever
    nope_dim is, and asks for rows aligned to 16 or 32 bytes; this one copies all, at any alignment.
    """
    _library.concat_mla_q(ql_nope, q_pe, q_out)


def indexer_k_quant_and_cache(
    k: torch.Tensor,
    kv_cache: torch.Tensor,
    slot_mapping: torch.Tensor,
    quant_block_size: int,
    kv_cache_dtype: str,
) -> None:
    """Writes the indexer's keys of new tokens, as e4m3 with a scale a group, to their slots.

    A cache block is the values of all its tokens, then the scales of all its tokens. For token i
    with slot s = slot_mapping[i] >= 0, block b and offset o = divmod(s, block_size), and with
    num_groups = head_dim / quant_block_size, in bytes from the start of block b:

        o * head_dim + d                                      e4m3(k[i, d] / scale of d's group)
        block_size * head_dim + (o * num_groups + group) * 4  that scale, a float32

    The scale of a group is max(amax, 1e-4) / 448, where amax is the largest magnitude of its
    elements, NaN left out; for "ue8m0" the smallest power of two that is no less. A negative slot
    is padding: nothing is read or written for it.

    Args:
        k: [>= num_tokens, head_dim], float16 or bfloat16; contiguous rows, any stride between them.
        kv_cache: [num_blocks, block_size, head_dim + 4 * num_groups], uint8 or float8_e4m3fn,
            written; contiguous blocks, any stride between them.
        slot_mapping: [num_tokens] int64, contiguous; slot = block * block_size + offset.
        quant_block_size: elements of a group; any number that divides head_dim.
        kv_cache_dtype: the format of the scales, despite its name: "ue8m0", or anything else for
            plain float32.

    Raises:
        RuntimeError: an argument is not as above. On the CPU also for a slot past the cache, before
            anything is written; on CUDA such a token is skipped.

    Source: the operator of vLLM of this name and schema, as it is later: the stride between blocks
    is that of `kv_cache` (at first it was taken to have no gaps). That one is right for groups of
    128 only, and ignores the stride of `k`; this one is not so. The number of tokens is that of
    `slot_mapping`, as for the other writers.
    """
    _library.indexer_k_quant_and_cache(k, kv_cache, slot_mapping, quant_block_size, kv_cache_dtype)
