"""Operators that gather tokens of a paged cache into rows side by side.

All take a table of blocks for each sequence. Row i of sequence s, counted from the sequence's first
row, is token (i + seq_starts[s]) % block_size of block block_table[s, (i + seq_starts[s]) //
block_size]. Rows of `dst` that belong to no sequence are left as they are.

Values inside tables, starts and lengths are checked on the CPU before anything is written. On CUDA
a row whose start, table or block number does not fit is left as it is.
"""

from __future__ import annotations

import torch

from stablekv import _library


def cp_gather_cache(
    src_cache: torch.Tensor,
    dst: torch.Tensor,
    block_table: torch.Tensor,
    cu_seq_lens: torch.Tensor,
    batch_size: int,
    seq_starts: torch.Tensor | None = None,
) -> None:
    """Copies tokens of a paged cache, bit for bit, whatever their elements mean.

    For sequence s and row cu_seq_lens[s] <= t < cu_seq_lens[s + 1], with p = t - cu_seq_lens[s] +
    seq_starts[s]:

        dst[t] = src_cache[block_table[s, p // block_size], p % block_size]

    Args:
        src_cache: [num_blocks, block_size, ...], elements of 1, 2 or 4 bytes, but not
            float8_e8m0fnu; a token's elements are contiguous, strides between blocks and tokens are
            free.
        dst: [num_rows, ...], written; the dtype of `src_cache`, as many contiguous elements a row
            as a token has, any stride between rows.
        block_table: [>= batch_size, max_blocks_per_seq] int32, block numbers; any stride between
            sequences. Only entries that a row needs are read.
        cu_seq_lens: [batch_size + 1] int32, contiguous and ascending: first row of each sequence,
            and the row behind the last one, at most num_rows.
        batch_size: sequences.
        seq_starts: [>= batch_size] int32, contiguous: the token that a sequence's first row comes
            from, any number >= 0; zeros when None.

    Raises:
        RuntimeError: an argument is not as above. On the CPU also for rows past `dst`, a table that
            is too short and a block number outside the cache, before anything is written; on CUDA
            such rows are left as they are.

    Source: the operator of vLLM of this name and schema, in its later form, which compares
    batch_size with cu_seq_lens and writes nothing past `dst`.
    """
    _library.cp_gather_cache(src_cache, dst, block_table, cu_seq_lens, batch_size, seq_starts)


def gather_and_maybe_dequant_cache(
    src_cache: torch.Tensor,
    dst: torch.Tensor,
    block_table: torch.Tensor,
    cu_seq_lens: torch.Tensor,
    token_to_seq: torch.Tensor,
    num_tokens: int,
    kv_cache_dtype: str,
    scale: torch.Tensor,
    seq_starts: torch.Tensor | None = None,
) -> None:
    """Gathers tokens of a paged cache, and dequantizes those of an fp8 cache.

    For t < num_tokens, in sequence s when cu_seq_lens[s] <= t < cu_seq_lens[s + 1], with
    p = t - cu_seq_lens[s] + seq_starts[s]:

        dst[t] = load(src_cache[block_table[s, p // block_size], p % block_size])

    `load` copies bits, or for an fp8 `kv_cache_dtype` is the float32 product of the element and
    `scale`, rounded once to the dtype of `dst`; overflow gives Inf, and a NaN has all bits set but
    the sign on every device.

    Args:
        src_cache: [num_blocks, block_size, entry_size], the dtype of `dst`, or uint8 or the float8
            dtype for fp8; entry_size is any number of contiguous elements, strides between blocks
            and tokens are free.
        dst: [>= num_tokens, entry_size], float32, float16 or bfloat16, written; contiguous
            elements, any stride between rows.
        block_table: [>= num_seqs, max_blocks_per_seq] int32, block numbers; any stride between
            sequences. Only entries that a row needs are read.
        cu_seq_lens: [num_seqs + 1] int32, contiguous and ascending. It may end past num_tokens,
            which limits the rows.
        token_to_seq: [>= num_tokens] int32, contiguous: the sequence of each row, which cu_seq_lens
            say too. On the CPU an entry of a row that is written must be a sequence.
        num_tokens: rows of `dst` that may be written.
        kv_cache_dtype: "auto", "float16", "bfloat16", "fp8", "fp8_e4m3" or "fp8_e5m2".
        scale: one float32 value on the device of the cache; fp8 only, not read otherwise.
        seq_starts: [>= num_seqs] int32, contiguous: the token that a sequence's first row comes
            from, any number >= 0; zeros when None.

    Raises:
        RuntimeError: an argument is not as above. On the CPU also for a table that is too short, a
            block number outside the cache and an entry of token_to_seq that is no sequence, before
            anything is written; on CUDA such a row is left as it is, and token_to_seq is not read.

    Source: the operator of vLLM of this name and schema, in its later form, which finds a row's
    sequence in cu_seq_lens and reads nothing past a table. That one takes entries of 320, 512 or
    576 elements only.
    """
    _library.gather_and_maybe_dequant_cache(
        src_cache,
        dst,
        block_table,
        cu_seq_lens,
        token_to_seq,
        num_tokens,
        kv_cache_dtype,
        scale,
        seq_starts,
    )


def cp_gather_and_upconvert_fp8_kv_cache(
    src_cache: torch.Tensor,
    dst: torch.Tensor,
    block_table: torch.Tensor,
    seq_lens: torch.Tensor,
    workspace_starts: torch.Tensor,
    batch_size: int,
) -> None:
    """Gathers tokens of an "fp8_ds_mla" cache and unpacks them to bfloat16.

    A token's 656 bytes are 512 e4m3, 4 float32 scales of 128 of these each, and 64 elements of 16
    bits. Row t of `dst` belongs to the last sequence s with workspace_starts[s] <= t; with p = t -
    workspace_starts[s] and token = src_cache[block_table[s, p // block_size], p % block_size]:

        dst[t, d]       = bfloat16(e4m3(token[d]) * scales[d // 128])   for d < 512
        dst[t, 512 + d] = the bits of the d-th of the 64 elements

    with one rounding of a float32 product, and a NaN of all bits but the sign on every device. The
    64 elements must have been written from bfloat16: float16 ones would come out as bfloat16 of the
    same bits. Every row of `dst` from workspace_starts[0] on is written, so `dst` is to end with
    the last sequence.

    Args:
        src_cache: [num_blocks, block_size, 656] uint8 or float8_e4m3fn; contiguous bytes, any
            strides between blocks and tokens.
        dst: [num_rows, 576] bfloat16, written; contiguous elements, any stride between rows.
        block_table: [>= batch_size, max_blocks_per_seq] int32, block numbers; any stride between
            sequences. Only entries that a row needs are read.
        seq_lens: [>= batch_size] int32; only its dtype, shape and device matter.
        workspace_starts: [>= batch_size] int32, contiguous and ascending: first row of each
            sequence, at most num_rows.
        batch_size: sequences; nothing is written for 0.

    Raises:
        RuntimeError: an argument is not as above. On the CPU also for a start past `dst`, a table
            that is too short and a block number outside the cache, before anything is written; on
            CUDA such rows are left as they are.

    Source: the operator of vLLM of this name, with the schema that it had when it moved to the
    stable ABI; a later one drops seq_lens. That one takes a float8_e5m2 cache as well and reads
    e4m3 from it; this one refuses it.
    """
    _library.cp_gather_and_upconvert_fp8_kv_cache(
        src_cache, dst, block_table, seq_lens, workspace_starts, batch_size
    )


def cp_gather_indexer_k_quant_cache(
    kv_cache: torch.Tensor,
    dst_k: torch.Tensor,
    dst_scale: torch.Tensor,
    block_table: torch.Tensor,
    cu_seq_lens: torch.Tensor,
) -> None:
    """Gathers the quantized keys of an indexer cache and their scales, byte for byte.

    A block holds the keys of all its tokens, then the scales of all its tokens. For sequence s and
    row cu_seq_lens[s] <= t < cu_seq_lens[s + 1], with b = block_table[s, i // block_size] and
    o = i % block_size for i = t - cu_seq_lens[s], and `block` the bytes of block b:

        dst_k[t]     = block[o * head_dim :][: head_dim]
        dst_scale[t] = block[block_size * head_dim + o * scale_bytes :][: scale_bytes]

    where scale_bytes = 4 * head_dim / quant_block_size.

    Args:
        kv_cache: [num_blocks, block_size, head_dim + scale_bytes] uint8 or float8_e4m3fn; blocks
            without gaps, any stride between them.
        dst_k: [num_rows, head_dim] uint8 or float8_e4m3fn, written; contiguous elements, any
            stride between rows.
        dst_scale: [num_rows, scale_bytes] uint8, written: the bytes of the float32 scales; as
            `dst_k`.
        block_table: [>= num_seqs, max_blocks_per_seq] int32, block numbers; any stride between
            sequences. Only entries that a row needs are read.
        cu_seq_lens: [num_seqs + 1] int32, contiguous and ascending: first row of each sequence,
            and the row behind the last one, at most num_rows.

    Raises:
        RuntimeError: an argument is not as above. On the CPU also for rows past `dst_k`, a table
            that is too short and a block number outside the cache, before anything is written; on
            CUDA such rows are left as they are.

    Source: the operator of vLLM of this name and schema, in its later form, which leaves rows past
    the last sequence as they are. That one needs rows of a multiple of 16 bytes, blocks of a
    multiple of 4 tokens and quant_block_size 128; this one does not.
    """
    _library.cp_gather_indexer_k_quant_cache(kv_cache, dst_k, dst_scale, block_table, cu_seq_lens)
