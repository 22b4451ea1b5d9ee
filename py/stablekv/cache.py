"""Operators that write the paged cache."""

from __future__ import annotations

import torch

from stablekv import _library


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
    """Writes the keys and values of new tokens to their slots of the paged cache.

    For token i with slot s = slot_mapping[i] >= 0, at block b and offset o = divmod(s, block_size):

        key_cache[b, h, d // x, o, d % x] = store(key[i, h, d], k_scale)
        value_cache[b, h, d, o]           = store(value[i, h, d], v_scale)

    `store` copies, or for an fp8 `kv_cache_dtype` rounds the float32 quotient by the scale to
    nearest even, saturates it at the largest finite value and turns NaN into 0x7F
    (stablekv.reference.encode_fp8). A negative slot is padding: nothing is read or written for it.
    No other element of the caches changes.

    Args:
        key, value: [>= num_tokens, num_heads, head_size], float32, float16 or bfloat16; rows of
            head_size contiguous elements, any strides between tokens and heads. The number of
            tokens is that of `slot_mapping`; what follows is ignored.
        key_cache: [num_blocks, num_heads, head_size / x, block_size, x], written; the dtype of
            `key`, or uint8 or the float8 dtype for fp8. Any strides between blocks and heads.
        value_cache: [num_blocks, num_heads, head_size, block_size], written; as `key_cache`.
        slot_mapping: [num_tokens] int64, contiguous; slot = block * block_size + offset. Two tokens
            in one slot leave either of them there.
        kv_cache_dtype: "auto", "float16", "bfloat16", "fp8", "fp8_e4m3" or "fp8_e5m2".
        k_scale, v_scale: one float32 value each on the device of the cache; fp8 only, not read
            otherwise.

    Raises:
        RuntimeError: an argument is not as above. On the CPU also for a slot past the cache, before
            anything is written; on CUDA such a token is skipped.

    Source: the operator of vLLM of this name and schema. That one drops chunks past the 512th of a
    token and reads no stride of the cache; this one does neither.
    """
    _library.reshape_and_cache(
        key, value, key_cache, value_cache, slot_mapping, kv_cache_dtype, k_scale, v_scale
    )


def reshape_and_cache_flash(
    key: torch.Tensor,
    value: torch.Tensor,
    key_cache: torch.Tensor,
    value_cache: torch.Tensor,
    slot_mapping: torch.Tensor,
    kv_cache_dtype: str,
    k_scale: torch.Tensor,
    v_scale: torch.Tensor,
) -> None:
    """Writes the keys and values of new tokens to their slots of caches of whole heads.

    For token i with slot s = slot_mapping[i] >= 0, at block b and offset o = divmod(s, block_size):

        key_cache[b, o, h]   = store(key[i, h], k_scale of h)
        value_cache[b, o, h] = store(value[i, h], v_scale of h)

    `store` is that of `reshape_and_cache`. The layout in memory is what the strides say: NHD is a
    contiguous tensor, HND one of [num_blocks, num_heads, block_size, head_size] seen through
    permute(0, 2, 1, 3), and both caches may be slices of one buffer. A negative slot is padding:
    nothing is read or written for it. No other element of the caches changes.

    With "nvfp4" a block is a page of 4-bit codes, then scales, and the last axis of the caches is
    not a row's (docs/layouts.md, stablekv.reference_nvfp4): uint8 of [num_blocks, block_size,
    num_heads, 9 * head_size / 16], 16-bit keys, head_size a multiple of 64 and block_size of 4,
    scales of one element. Pages have no gaps; they are HND where key_cache.stride(2) >
    key_cache.stride(1), or else NHD, and those of both caches alike. Scales of values are swizzled,
    except on devices of compute capability 12.x.

    Args:
        key, value: [>= num_tokens, num_heads, head_size], float32, float16 or bfloat16; rows of
            head_size contiguous elements, any strides between tokens and heads. The number of
            tokens is that of `slot_mapping`; what follows is ignored.
        key_cache, value_cache: [num_blocks, block_size, num_heads, head_size], written; the dtype
            of `key`, or uint8 or the float8 dtype for fp8. Contiguous rows of head_size elements,
            any strides between blocks, tokens and heads, each cache its own.
        slot_mapping: [num_tokens] int64, contiguous; slot = block * block_size + offset. Two tokens
            in one slot leave either of them there.
        kv_cache_dtype: "auto", "float16", "bfloat16", "fp8", "fp8_e4m3", "fp8_e5m2" or "nvfp4".
        k_scale, v_scale: float32, on the device of the cache, contiguous and of one shape: of one
            element, or of num_heads elements, one for each head. Not read but for fp8 and nvfp4.

    Raises:
        RuntimeError: an argument is not as above. On the CPU also for a slot past the cache, before
            anything is written; on CUDA such a token is skipped.

    Source: the operator of vLLM of this name and schema, as it is later, when rows that are aligned
    to their elements alone work. That one takes the strides of `value_cache` to be those of
    `key_cache`, and never returns for fewer than 32 elements a token with a scale a head; this one
    does neither. That one's nvfp4 takes approximate reciprocals and Blackwell's conversions: a code
    or a scale at a tie may be the neighbour of the one here, which is the same everywhere.
    """
    _library.reshape_and_cache_flash(
        key, value, key_cache, value_cache, slot_mapping, kv_cache_dtype, k_scale, v_scale
    )
