"""The block-sparse pattern of paged attention."""

import pytest
import torch
from stablekv.attention import BlockSparse

from tests.support import attention
from tests.support.attention import AttentionCase
from tests.support.devices import each_device

each_version = pytest.mark.parametrize("version", ["v1", "v2"])

_LENGTHS = (1, 64, 129, 700, 0)
_PATTERNS = [
    BlockSparse(local_blocks=1, vert_stride=2, block_size=16),
    BlockSparse(local_blocks=2, vert_stride=8, block_size=64, head_sliding_step=2),
    BlockSparse(local_blocks=2, vert_stride=8, block_size=64, head_sliding_step=-1),
    BlockSparse(local_blocks=1, vert_stride=5, block_size=32, head_sliding_step=3, tp_rank=3),
    BlockSparse(local_blocks=1, vert_stride=5, block_size=32, head_sliding_step=-3, tp_rank=3),
    BlockSparse(local_blocks=0, vert_stride=3, block_size=32, head_sliding_step=1),
    BlockSparse(local_blocks=0, vert_stride=1000, block_size=16),  # skips every token
    BlockSparse(local_blocks=1000, vert_stride=7, block_size=64),  # skips none
    BlockSparse(local_blocks=1, vert_stride=3, block_size=24, head_sliding_step=1),  # odd
    BlockSparse(local_blocks=1, vert_stride=2, block_size=8),  # smaller than a cache block
    BlockSparse(local_blocks=1, vert_stride=4, block_size=512, head_sliding_step=1),  # partitions
]


def _case(pattern, **more):
    return AttentionCase(seq_lens=_LENGTHS, num_heads=6, block_sparse=pattern, **more)


@each_device
@each_version
@pytest.mark.parametrize("pattern", _PATTERNS, ids=lambda p: "/".join(map(str, p)))
def test_agrees_with_the_reference(pattern, version, device):
    attention.check(version, attention.arguments_of(_case(pattern), device))


@each_device
@each_version
@pytest.mark.parametrize("block_size", [8, 16, 32])
@pytest.mark.parametrize("dtype, kind", [(torch.float16, "auto"), (torch.bfloat16, "fp8")])
def test_with_every_block_size_and_fp8(dtype, kind, block_size, version, device):
    pattern = BlockSparse(local_blocks=1, vert_stride=3, block_size=32, head_sliding_step=1)
    case = _case(pattern, block_size=block_size, dtype=dtype, kv_cache_dtype=kind, v_scale=0.5)
    attention.check(version, attention.arguments_of(case, device))


@each_device
@each_version
def test_with_alibi(version, device):
    pattern = BlockSparse(local_blocks=1, vert_stride=3, block_size=32, head_sliding_step=-1)
    attention.check(version, attention.arguments_of(_case(pattern, alibi=True), device))


@each_device
@each_version
def test_a_head_that_skips_every_token_gives_zeros(version, device):
    pattern = BlockSparse(local_blocks=0, vert_stride=1000, block_size=16)
    out = attention.check(version, attention.arguments_of(_case(pattern), device))
    assert not out.any()


@each_device
@each_version
@pytest.mark.parametrize("vert_stride", [-3, 0, 1])
def test_an_inactive_pattern_is_dense_whatever_its_other_values(vert_stride, version, device):
    dense = attention.check(version, attention.arguments_of(_case(BlockSparse(0, 0)), device))
    pattern = BlockSparse(-5, vert_stride, block_size=0, head_sliding_step=-(2**63), tp_rank=-1)
    inactive = attention.check(version, attention.arguments_of(_case(pattern), device))
    assert torch.equal(dense, inactive)


@each_device
@each_version
def test_nan_in_blocks_that_no_head_attends_to_does_not_matter(version, device):
    """Sparse blocks of one cache block; every second is skipped by all heads."""
    pattern = BlockSparse(local_blocks=1, vert_stride=2, block_size=16)
    case = AttentionCase(seq_lens=(160,), block_sparse=pattern)
    arguments = attention.arguments_of(case, device)
    want = attention.check(version, arguments).clone()
    table = arguments["block_tables"][0]
    for column in range(0, 9, 2):  # (kb + 1) % 2 == 0 is odd kb; the last, 9, is local
        arguments["key_cache"][table[column]] = float("nan")
        arguments["value_cache"][table[column]] = float("nan")
    got = attention.run(version, arguments)
    assert torch.equal(got, want)
