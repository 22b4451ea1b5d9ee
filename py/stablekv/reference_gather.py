"""What the gathers compute, in plain torch: slow, obvious, and the oracle of their tests.

One function per operator with the operator's own arguments. Arguments are taken to be valid; rows
of `dst` that belong to no sequence are left as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch

from stablekv import layouts
from stablekv.reference import NAN_BITS, bits, decode_fp8

# The bytes of an fp8_ds_mla token: e4m3 codes, a float32 scale for every tile of them, the rest.
_NOPE, _TILE, _SCALES_END, _TOKEN = 512, 128, 528, 656


def cp_gather_cache(
    src_cache: torch.Tensor,
    dst: torch.Tensor,
    block_table: torch.Tensor,
    cu_seq_lens: torch.Tensor,
    batch_size: int,
    seq_starts: torch.Tensor | None = None,
) -> None:
    """As stablekv.cp_gather_cache."""
    source, target = bits(src_cache), bits(dst)
    for row, block, offset in _rows(src_cache, block_table, cu_seq_lens, seq_starts, len(dst)):
        target[row] = source[block, offset].view(target[row].shape)


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
    """As stablekv.gather_and_maybe_dequant_cache."""
    source, target = bits(src_cache), bits(dst)
    for row, block, offset in _rows(src_cache, block_table, cu_seq_lens, seq_starts, num_tokens):
        entry = source[block, offset]
        if layouts.is_fp8(kv_cache_dtype):
            float8 = layouts.FP8_FORMATS[kv_cache_dtype]
            entry = dequantized(entry, scale.reshape(()), float8, dst.dtype)
        target[row] = entry


def cp_gather_and_upconvert_fp8_kv_cache(
    src_cache: torch.Tensor,
    dst: torch.Tensor,
    block_table: torch.Tensor,
    seq_lens: torch.Tensor,
    workspace_starts: torch.Tensor,
    batch_size: int,
) -> None:
    """As stablekv.cp_gather_and_upconvert_fp8_kv_cache."""
    source, target = bits(src_cache), bits(dst)
    ends = torch.cat([workspace_starts[:batch_size].cpu(), torch.tensor([len(dst)])])
    for row, block, offset in _rows(src_cache, block_table, ends, None, len(dst)):
        token = source[block, offset]
        scales = token[_NOPE:_SCALES_END].clone().view(torch.float32).repeat_interleave(_TILE)
        target[row, :_NOPE] = dequantized(
            token[:_NOPE], scales, torch.float8_e4m3fn, torch.bfloat16
        )
        target[row, _NOPE:] = token[_SCALES_END:].clone().view(torch.int16)


def cp_gather_indexer_k_quant_cache(
    kv_cache: torch.Tensor,
    dst_k: torch.Tensor,
    dst_scale: torch.Tensor,
    block_table: torch.Tensor,
    cu_seq_lens: torch.Tensor,
) -> None:
    """As stablekv.cp_gather_indexer_k_quant_cache."""
    num_blocks, block_size, _ = kv_cache.shape
    head_dim, scale_bytes = dst_k.shape[1], dst_scale.shape[1]
    blocks = bits(kv_cache).reshape(num_blocks, -1)  # all keys, then all scales
    target = bits(dst_k)
    for row, block, offset in _rows(kv_cache, block_table, cu_seq_lens, None, len(dst_k)):
        target[row] = blocks[block, offset * head_dim :][:head_dim]
        first_scale = block_size * head_dim + offset * scale_bytes
        dst_scale[row] = blocks[block, first_scale:][:scale_bytes]


def dequantized(
    codes: torch.Tensor, scale: torch.Tensor, float8: torch.dtype, dtype: torch.dtype
) -> torch.Tensor:
    """The bits of `dtype(fp8(codes) * scale)`, a float32 product rounded once.

    `scale` is one value or one for each code. A NaN has every bit set but the sign.
    """
    values = decode_fp8(codes, torch.ones((), device=codes.device), float8).float()
    products = (values * scale.float()).to(dtype)
    return bits(products).masked_fill(products.isnan(), NAN_BITS[dtype])


def _rows(
    cache: torch.Tensor,
    block_table: torch.Tensor,
    row_starts: torch.Tensor,
    seq_starts: torch.Tensor | None,
    num_rows: int,
) -> Iterator[tuple[int, int, int]]:
    """Each row that some sequence has, with the block and the offset that it comes from.

    The rows of sequence s are row_starts[s] up to, and without, row_starts[s + 1].
    """
    block_size = cache.shape[1]
    starts = row_starts.tolist()
    for sequence, (first_row, end_row) in enumerate(pairwise(starts)):
        first_token = 0 if seq_starts is None else int(seq_starts[sequence])
        for row in range(first_row, min(end_row, num_rows)):
            entry, offset = divmod(row - first_row + first_token, block_size)
            yield row, int(block_table[sequence, entry]), offset
