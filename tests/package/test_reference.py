"""The oracle against formulations that share nothing with it: torch's casts, SDPA, plain loops."""

import itertools

import pytest
import torch
from stablekv import layouts, reference

FORMATS = [torch.float8_e4m3fn, torch.float8_e5m2]
ONE = torch.tensor(1.0)


def _cast_by_torch(quotient: torch.Tensor, float8: torch.dtype) -> torch.Tensor:
    largest = torch.finfo(float8).max
    codes = quotient.clamp(-largest, largest).to(float8).view(torch.uint8)
    return torch.where(quotient.isnan(), 0x7F, codes)


def _neighbourhoods(float8: torch.dtype) -> torch.Tensor:
    """Every value of the format, every midpoint, and the float32 numbers beside each."""
    codes = torch.arange(256, dtype=torch.uint8).view(float8).float()
    values = codes[codes.isfinite()].unique()
    points = torch.cat([values, (values[1:] + values[:-1]) / 2])
    above = torch.nextafter(points, torch.tensor(float("inf")))
    below = torch.nextafter(points, torch.tensor(float("-inf")))
    return torch.cat([points, above, below])


@pytest.mark.parametrize("float8", FORMATS)
def test_encode_fp8_agrees_with_a_saturating_cast(float8):
    every_half = torch.arange(-(2**15), 2**15, dtype=torch.int16).view(torch.float16)
    random_bits = torch.randint(-(2**31), 2**31, (100_000,)).int().view(torch.float32)
    for x in (_neighbourhoods(float8), every_half, random_bits):
        for scale in (1.0, 0.0371, 3e-3, -2.0):
            got = reference.encode_fp8(x, torch.tensor(scale), float8)
            want = _cast_by_torch(x.float() / torch.tensor(scale), float8)
            assert torch.equal(got, want)


@pytest.mark.parametrize("float8, largest", [(FORMATS[0], 0x7E), (FORMATS[1], 0x7B)])
def test_encode_fp8_of_the_special_values(float8, largest):
    inf, nan = float("inf"), float("nan")
    x = torch.tensor([0.0, -0.0, inf, -inf, nan, -nan, 1e30, -1e30])
    want = [0x00, 0x80, largest, largest | 0x80, 0x7F, 0x7F, largest, largest | 0x80]
    assert reference.encode_fp8(x, ONE, float8).tolist() == want
    zero_scale = reference.encode_fp8(torch.tensor([1.0, -1.0, 0.0]), torch.tensor(0.0), float8)
    assert zero_scale.tolist() == [largest, largest | 0x80, 0x7F]


@pytest.mark.parametrize("float8", FORMATS)
def test_decode_fp8_agrees_with_torch_for_every_code(float8):
    codes = torch.arange(256, dtype=torch.uint8)
    want = codes.view(float8).to(torch.float64)
    got = reference.decode_fp8(codes, ONE, float8)
    torch.testing.assert_close(got, want, rtol=0, atol=0, equal_nan=True)
    number = ~want.isnan()
    assert torch.equal(got.signbit()[number], want.signbit()[number])
    scaled = reference.decode_fp8(codes, torch.tensor(0.25), float8)
    torch.testing.assert_close(scaled, want * 0.25, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("kv_cache_dtype", ["auto", "fp8", "fp8_e5m2"])
def test_reshape_and_cache_is_the_formula_element_by_element(kv_cache_dtype):
    tokens, heads, head_size, block_size, num_blocks = 3, 2, 32, 8, 3
    stored = layouts.storage_dtype(kv_cache_dtype, torch.float16)
    shape = (num_blocks, heads, head_size, block_size)
    key_cache = torch.zeros(layouts.key_cache_shape(*shape, stored), dtype=stored)
    value_cache = torch.zeros(layouts.value_cache_shape(*shape), dtype=stored)
    key, value = torch.randn(2, tokens, heads, head_size).to(torch.float16)
    slots = torch.tensor([17, -1, 6])
    k_scale, v_scale = torch.tensor(0.5), torch.tensor(0.1)
    want_keys, want_values = key_cache.clone(), value_cache.clone()
    x = key_cache.shape[4]
    for i, h, d in itertools.product(range(tokens), range(heads), range(head_size)):
        slot = slots[i].item()
        if slot >= 0:
            b, o = slot // block_size, slot % block_size
            want_keys[b, h, d // x, o, d % x] = _stored(key[i, h, d], k_scale, kv_cache_dtype)
            want_values[b, h, d, o] = _stored(value[i, h, d], v_scale, kv_cache_dtype)

    arguments = (key, value, key_cache, value_cache, slots, kv_cache_dtype, k_scale, v_scale)
    reference.reshape_and_cache(*arguments)
    assert torch.equal(key_cache, want_keys)
    assert torch.equal(value_cache, want_values)
    assert key_cache.count_nonzero() > 0


def _stored(x: torch.Tensor, scale: torch.Tensor, kv_cache_dtype: str) -> torch.Tensor:
    if kv_cache_dtype == "auto":
        return x
    return _cast_by_torch(x.float() / scale, layouts.FP8_FORMATS[kv_cache_dtype])


@pytest.mark.parametrize("kv_cache_dtype", ["auto", "fp8_e4m3", "fp8_e5m2"])
@pytest.mark.parametrize("alibi", [False, True])
def test_attention_agrees_with_sdpa_on_dense_keys_and_values(kv_cache_dtype, alibi):
    num_heads, num_kv_heads, head_size, block_size = 6, 2, 32, 8
    lengths, tables = [1, 21, 16], [[4, 9], [2, 0, 7], [5, 1]]
    stored = layouts.storage_dtype(kv_cache_dtype, torch.float32)
    shape = (10, num_kv_heads, head_size, block_size)
    key_shape = layouts.key_cache_shape(*shape, stored)
    if kv_cache_dtype == "auto":
        key_cache, value_cache = torch.randn(key_shape), torch.randn(shape)
    else:
        key_cache = torch.randint(0, 0x7C, key_shape, dtype=torch.uint8)
        value_cache = torch.randint(0, 0x7C, shape, dtype=torch.uint8)
    k_scale, v_scale = torch.tensor(0.01), torch.tensor(0.5)
    query = torch.randn(3, num_heads, head_size)
    slopes = torch.tensor([0.5, 0.25, 0.0, 0.125, -0.1, 1.0]) if alibi else None

    want = []
    for sequence, length in enumerate(lengths):
        keys = torch.empty(num_heads, length, head_size, dtype=torch.float64)
        values = torch.empty_like(keys)
        for h, t in itertools.product(range(num_heads), range(length)):
            block, offset = tables[sequence][t // block_size], t % block_size
            keys[h, t] = _value(key_cache[block, h // 3, :, offset, :], kv_cache_dtype).flatten()
            values[h, t] = _value(value_cache[block, h // 3, :, offset], kv_cache_dtype)
        if kv_cache_dtype != "auto":
            keys, values = keys * k_scale.double(), values * v_scale.double()
        bias = None
        if alibi:
            bias = slopes.double()[:, None, None] * (torch.arange(length).double() - length + 1)
        want.append(
            torch.nn.functional.scaled_dot_product_attention(
                query[sequence].double()[:, None], keys, values, attn_mask=bias, scale=0.2
            )[:, 0]
        )

    got = reference.attention(
        query,
        key_cache,
        value_cache,
        num_kv_heads,
        0.2,
        torch.tensor([row + [-1] * (3 - len(row)) for row in tables], dtype=torch.int32),
        torch.tensor(lengths, dtype=torch.int32),
        block_size,
        slopes,
        kv_cache_dtype,
        k_scale,
        v_scale,
    )
    torch.testing.assert_close(got, torch.stack(want), rtol=1e-12, atol=1e-12)


def _value(stored: torch.Tensor, kv_cache_dtype: str) -> torch.Tensor:
    if kv_cache_dtype != "auto":
        stored = stored.view(layouts.FP8_FORMATS[kv_cache_dtype])
    return stored.double()


def test_block_sparse_mask_by_hand():
    """Two cache blocks a sparse block; 7 sparse blocks; every third one, and the last two."""
    mask = reference.block_sparse_mask(
        length=107,
        block_size=8,
        num_heads=4,
        num_kv_heads=2,
        tp_rank=0,
        local_blocks=2,
        vert_stride=3,
        sparse_block_size=16,
        head_sliding_step=1,
    )
    # offset = head + 1; sparse block kb is attended to when (kb + head + 1) % 3 == 0 or kb > 4.
    want = [{2, 5, 6}, {1, 4, 5, 6}, {0, 3, 5, 6}, {2, 5, 6}]
    for head, blocks in enumerate(want):
        assert {t // 16 for t in range(107) if mask[head, t]} == blocks
        assert mask[head].sum() == sum(min(16, 107 - 16 * block) for block in blocks)


@pytest.mark.parametrize(
    "tp_rank, step, offsets",
    [
        (0, 0, [1, 1, 1, 1]),
        (1, 2, [9, 11, 13, 15]),  # (1 * 4 + head) * 2 + 1
        (0, -1, [1, 1, 2, 2]),  # kv_head + 1
        (3, -2, [13, 13, 15, 15]),  # (3 * 2 + kv_head) * 2 + 1
    ],
)
def test_block_sparse_offset_by_hand(tp_rank, step, offsets):
    mask = reference.block_sparse_mask(320, 16, 4, 2, tp_rank, 1, 5, 16, step)
    for head, offset in enumerate(offsets):
        want = {kb for kb in range(20) if (kb + offset) % 5 == 0 or kb == 19}
        assert {t // 16 for t in range(320) if mask[head, t]} == want


def test_attention_that_skips_every_token_is_zero():
    arguments = dict(
        query=torch.randn(1, 1, 32),
        key_cache=torch.randn(1, 1, 8, 8, 4),
        value_cache=torch.randn(1, 1, 32, 8),
        num_kv_heads=1,
        scale=1.0,
        block_tables=torch.zeros(1, 1, dtype=torch.int32),
        seq_lens=torch.tensor([5], dtype=torch.int32),
        block_size=8,
        alibi_slopes=None,
        kv_cache_dtype="auto",
        k_scale=ONE,
        v_scale=ONE,
    )
    skipped = reference.attention(**arguments, blocksparse_vert_stride=2)
    assert torch.equal(skipped, torch.zeros(1, 1, 32, dtype=torch.float64))
    assert reference.attention(**arguments).abs().min() > 0
