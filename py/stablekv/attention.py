"""Decode attention over the paged cache: one query token per sequence."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from stablekv import _library


class BlockSparse(NamedTuple):
    """A block-sparse pattern; see paged_attention_v1 for the formula."""

    local_blocks: int
    vert_stride: int
    block_size: int = 64  # tokens of a sparse block
    head_sliding_step: int = 0
    tp_rank: int = 0


DENSE = BlockSparse(local_blocks=0, vert_stride=0)

_LONGEST = 2**31 - 1  # tokens of a sequence: lengths are int32


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
    """Attends from one query token per sequence to the sequence's keys and values in the cache.

    For sequence s of L tokens, head h, kv head g = h // (num_heads / num_kv_heads), t in [0, L):

        l[t]      = scale * dot(query[s, h], k[t]) + alibi_slopes[h] * (t - L + 1)
        out[s, h] = sum over t of softmax(l)[t] * v[t]

    where k[t] and v[t] are at block block_tables[s, t // block_size], offset t % block_size, and
    are multiplied by their scale in an fp8 cache. Arithmetic is float32. A sequence of no tokens
    gives zeros. Neither cache elements past L nor table entries past its last block matter.

    On CUDA few long sequences are split, for more of the device to work on them. The scratch for
    that is torch's memory for the time of the call, at most 17 MB for sequences of up to 16384
    tokens; where there is none the operator does without.

    The block-sparse pattern is active when blocksparse_vert_stride > 1. With B =
    blocksparse_block_size, step = blocksparse_head_sliding_step, the first token t0 of a cache
    block, kb = t0 // B and qb = (L - 1) // B, a cache block is attended to when

        (kb + offset) % blocksparse_vert_stride == 0  or  kb > qb - blocksparse_local_blocks
        offset = (tp_rank * num_heads + h) * step + 1       for step >= 0
        offset = (tp_rank * num_kv_heads + g) * -step + 1   for step < 0

    and a head that skips every block gives zeros.

    Args:
        out: [num_seqs, num_heads, head_size], written; the dtype of `query`.
        query: [num_seqs, num_heads, head_size], float32, float16 or bfloat16; any strides between
            sequences and heads, so that a slice of a packed qkv will do.
        key_cache: [num_blocks, num_kv_heads, head_size / x, block_size, x], the dtype of `query`,
            or uint8 or the float8 dtype for fp8; x is 16 bytes' worth of elements. Any strides
            between blocks and heads. head_size is one of layouts.HEAD_SIZES.
        value_cache: [num_blocks, num_kv_heads, head_size, block_size], as `key_cache`.
        num_kv_heads: heads of the cache; num_heads is a multiple.
        scale: factor of the dot product, most often 1 / sqrt(head_size).
        block_tables: [num_seqs, blocks] int32, block numbers of each sequence; wide enough for
            max_seq_len.
        seq_lens: [num_seqs] int32, tokens; contiguous.
        block_size: tokens of a cache block: 8, 16 or 32.
        max_seq_len: tokens, at least every seq_len; larger is allowed.
        alibi_slopes: [num_heads] float32, or None for no bias.
        kv_cache_dtype: "auto", "float16", "bfloat16", "fp8", "fp8_e4m3" or "fp8_e5m2".
        k_scale, v_scale: one float32 value each on the device of the cache; fp8 only, not read
            otherwise.
        tp_rank: rank of this shard of the heads; used by the block-sparse offset only.
        blocksparse_local_blocks: sparse blocks attended to before and with the query's own.
        blocksparse_vert_stride: every how many sparse blocks one is attended to; <= 1 is dense.
        blocksparse_block_size: tokens of a sparse block.
        blocksparse_head_sliding_step: shift of the pattern from head to head.

    Raises:
        RuntimeError: an argument is not as above; nothing is written. On the CPU also for a length
            outside [0, max_seq_len] or a block number outside the cache. On CUDA lengths are
            clamped to that range, and such a block is not attended to.

    Source: the operator of vLLM of this name and schema, with float32 arithmetic throughout.
    """
    _library.paged_attention_v1(
        out,
        query,
        key_cache,
        value_cache,
        num_kv_heads,
        scale,
        block_tables,
        seq_lens,
        block_size,
        max_seq_len,
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


def paged_attention_v2(
    out: torch.Tensor,
    exp_sums: torch.Tensor,
    max_logits: torch.Tensor,
    tmp_out: torch.Tensor,
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
    """As paged_attention_v1, with scratch that the caller brings.

    For those who have it: v1 is as fast, and rounds once. With P = ceil(max_seq_len / 512)
    partitions (layouts.num_partitions); what the scratch holds afterwards means nothing:

    Args:
        out: as for v1, which has all arguments that are not listed here.
        exp_sums, max_logits: float32, contiguous, at least num_seqs * num_heads * P elements.
        tmp_out: the dtype of `query`, contiguous, at least num_seqs * num_heads * P * head_size
            elements.

    Raises:
        RuntimeError: as for v1, and for scratch that is too small.

    Source: the operator of vLLM of this name and schema; on CUDA partition results are rounded to
    the dtype of `tmp_out` before they are combined, as there. The CPU leaves the scratch alone.
    """
    _library.paged_attention_v2(
        out,
        exp_sums,
        max_logits,
        tmp_out,
        query,
        key_cache,
        value_cache,
        num_kv_heads,
        scale,
        block_tables,
        seq_lens,
        block_size,
        max_seq_len,
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


def paged_attention(
    query: torch.Tensor,
    key_cache: torch.Tensor,
    value_cache: torch.Tensor,
    block_tables: torch.Tensor,
    seq_lens: torch.Tensor,
    *,
    scale: float | None = None,
    max_seq_len: int | None = None,
    alibi_slopes: torch.Tensor | None = None,
    kv_cache_dtype: str = "auto",
    k_scale: torch.Tensor | None = None,
    v_scale: torch.Tensor | None = None,
    block_sparse: BlockSparse = DENSE,
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    """paged_attention_v1 with sizes read from the tensors, and with the output allocated here.

    Nothing is read back from the device.

    Under torch.compile keep max_seq_len constant (and with it the width of the table when it is
    None): the operators' schemas have it an int, so that each value is compiled for anew.

    Args:
        query, key_cache, value_cache, block_tables, seq_lens, alibi_slopes, kv_cache_dtype: as for
            paged_attention_v1; heads and block size are read from the shapes.
        scale: factor of the dot product; 1 / sqrt(head_size) when None.
        max_seq_len: tokens, at least every seq_len; when None, all that the table can hold.
        k_scale, v_scale: one float32 value each; when None, a one is made on each call, so pass
            them in a hot loop.
        block_sparse: the block-sparse pattern.
        out: [num_seqs, num_heads, head_size], written; allocated when None.

    Returns:
        `out`: [num_seqs, num_heads, head_size], the dtype of `query`.

    Raises:
        RuntimeError: as paged_attention_v1.
    """
    _check_rank("query", query, "num_seqs, num_heads, head_size")
    _check_rank("key_cache", key_cache, "num_blocks, num_kv_heads, head_size / x, block_size, x")
    _check_rank("block_tables", block_tables, "num_seqs, blocks")
    num_seqs, num_heads, head_size = query.shape
    num_kv_heads, block_size = key_cache.shape[1], key_cache.shape[3]
    if max_seq_len is None:
        max_seq_len = min(block_tables.shape[1] * block_size, _LONGEST)
    if out is None:
        out = query.new_empty((num_seqs, num_heads, head_size))
    _library.paged_attention_v1(
        out,
        query,
        key_cache,
        value_cache,
        num_kv_heads,
        1.0 / math.sqrt(head_size or 1) if scale is None else scale,
        block_tables,
        seq_lens,
        block_size,
        max_seq_len,
        alibi_slopes,
        kv_cache_dtype,
        _one(query.device) if k_scale is None else k_scale,
        _one(query.device) if v_scale is None else v_scale,
        block_sparse.tp_rank,
        block_sparse.local_blocks,
        block_sparse.vert_stride,
        block_sparse.block_size,
        block_sparse.head_sliding_step,
    )
    return out


def _check_rank(name: str, tensor: torch.Tensor, dims: str) -> None:
    """Before a size is read; all else the operators check."""
    if tensor.dim() != dims.count(",") + 1:
        raise RuntimeError(
            f"paged_attention: {name} must have shape [{dims}], got {list(tensor.shape)}"
        )


def _one(device: torch.device) -> torch.Tensor:
    return torch.ones((), dtype=torch.float32, device=device)
