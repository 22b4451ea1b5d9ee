"""paged_attention_v1 and _v2 against the reference, over what decides how they compute."""

import dataclasses

import pytest
import stablekv
import torch
from stablekv import layouts, reference

from tests.support import attention, tensors
from tests.support.attention import AttentionCase
from tests.support.devices import each_device

each_version = pytest.mark.parametrize("version", ["v1", "v2"])
each_dtype = pytest.mark.parametrize("dtype", layouts.ELEMENT_DTYPES, ids=layouts.dtype_name)

# Every head size with every kind of cache; block sizes, dtypes and head ratios go around.
_KINDS = ("auto", "fp8", "fp8_e4m3", "fp8_e5m2")
_RATIOS = ((1, 1), (4, 4), (6, 2), (8, 1))
_COVERING = [
    AttentionCase(
        head_size=head_size,
        kv_cache_dtype=kind,
        block_size=layouts.BLOCK_SIZES[(i + j) % 3],
        dtype=layouts.ELEMENT_DTYPES[(i + 2 * j) % 3],
        num_heads=_RATIOS[(i + j) % 4][0],
        num_kv_heads=_RATIOS[(i + j) % 4][1],
        k_scale=0.0371,
        v_scale=0.21,
        alibi=(i + j) % 2 == 0,
    )
    for i, head_size in enumerate(layouts.HEAD_SIZES)
    for j, kind in enumerate(_KINDS)
    if kind == "auto" or head_size % 16 == 0
]
# Every block size with every dtype and kind of cache.
_BLOCKS = [
    AttentionCase(block_size=block_size, dtype=dtype, kv_cache_dtype=kind, v_scale=1.7)
    for block_size in layouts.BLOCK_SIZES
    for dtype in layouts.ELEMENT_DTYPES
    for kind in _KINDS
]


@each_device
@each_version
@pytest.mark.parametrize("case", _COVERING + _BLOCKS, ids=str)
def test_agrees_with_the_reference(case, version, device):
    attention.check(version, attention.arguments_of(case, device))


@each_device
@each_version
@pytest.mark.parametrize("block_size", layouts.BLOCK_SIZES)
def test_lengths_at_the_edges_of_blocks(block_size, version, device):
    edges = (0, 1, block_size - 1, block_size, block_size + 1, 2 * block_size, 0, 5 * block_size)
    case = AttentionCase(seq_lens=edges, block_size=block_size, alibi=True)
    out = attention.check(version, attention.arguments_of(case, device))
    assert not out[0].any() and not out[6].any()


@each_device
@each_version
@each_dtype
def test_lengths_at_the_edges_of_partitions(dtype, version, device):
    edges = (511, 512, 513, 1023, 1024, 1025, 1537, 3, 0)
    case = AttentionCase(seq_lens=edges, num_heads=2, num_kv_heads=1, dtype=dtype, alibi=True)
    attention.check(version, attention.arguments_of(case, device))


@each_device
@each_version
@pytest.mark.parametrize("kind", ["fp8", "fp8_e5m2"])
def test_fp8_over_partitions(kind, version, device):
    case = AttentionCase(
        seq_lens=(1300, 700),
        dtype=torch.bfloat16,
        kv_cache_dtype=kind,
        k_scale=0.25,
        v_scale=3.0,
    )
    attention.check(version, attention.arguments_of(case, device))


@each_device
@each_version
def test_a_long_sequence(version, device):
    case = AttentionCase(seq_lens=(10007,), num_heads=3, num_kv_heads=1, head_size=32, block_size=8)
    attention.check(version, attention.arguments_of(case, device))


@each_device
@each_version
def test_many_sequences(version, device):
    lengths = tuple(1 + 7 * i % 67 for i in range(150))
    case = AttentionCase(seq_lens=lengths, num_heads=8, num_kv_heads=2, head_size=32)
    attention.check(version, attention.arguments_of(case, device))


@each_device
@each_version
@pytest.mark.parametrize("max_seq_len", [41, 513, 5000])
def test_max_seq_len_may_be_larger_than_every_length(max_seq_len, version, device):
    case = AttentionCase(max_seq_len=max_seq_len, dtype=torch.float16)
    attention.check(version, attention.arguments_of(case, device))


@each_device
@pytest.mark.parametrize("extra", [1, 1000])
def test_scratch_may_be_larger_than_needed(extra, device):
    case = AttentionCase(seq_lens=(700, 90), dtype=torch.bfloat16)
    arguments = attention.with_scratch(attention.arguments_of(case, device))
    for name in ("exp_sums", "max_logits", "tmp_out"):
        more = tensors.longer(arguments[name].flatten(), 0, extra)
        arguments[name] = more
    attention.check("v2", arguments)


@each_device
@each_version
@each_dtype
def test_query_and_out_as_slices_of_packed_tensors(dtype, version, device):
    case = AttentionCase(dtype=dtype, head_size=80, num_heads=6, num_kv_heads=3)
    arguments = attention.arguments_of(case, device)
    for name in ("query", "out"):
        packed = tensors.poisoned((3, 12, 80), dtype, device)  # q, k and v of a token in a row
        packed[:, :6] = arguments[name]
        arguments[name] = packed[:, :6]
    attention.check(version, arguments)


@each_device
@each_version
@pytest.mark.parametrize("kind", ["auto", "fp8"])
def test_keys_and_values_interleaved_in_one_buffer(kind, version, device):
    case = AttentionCase(dtype=torch.float16, kv_cache_dtype=kind, k_scale=0.3)
    arguments = attention.arguments_of(case, device)
    keys, values = arguments["key_cache"], arguments["value_cache"]
    both = tensors.poisoned((len(keys), 2, keys[0].numel()), keys.dtype, device)
    arguments["key_cache"] = both[:, 0].view(keys.shape)
    arguments["value_cache"] = both[:, 1].view(values.shape)
    arguments["key_cache"].copy_(keys)
    arguments["value_cache"].copy_(values)
    assert arguments["key_cache"].stride(0) == 2 * keys.stride(0)
    attention.check(version, arguments)


@each_device
@each_version
def test_key_and_value_caches_of_different_strides(version, device):
    arguments = attention.arguments_of(AttentionCase(block_size=8), device)
    arguments["key_cache"] = tensors.with_gaps(arguments["key_cache"], 0)
    arguments["value_cache"] = tensors.with_gaps(arguments["value_cache"], 1)
    attention.check(version, arguments)


@each_device
@each_version
def test_block_tables_as_a_slice_of_a_wider_one(version, device):
    arguments = attention.arguments_of(AttentionCase(), device)
    wide = tensors.longer(arguments["block_tables"], 1, 7)
    arguments["block_tables"] = wide[:, : arguments["block_tables"].shape[1]]
    attention.check(version, arguments)


@each_device
@each_version
@each_dtype
def test_tensors_that_begin_at_any_element(dtype, version, device):
    """No alignment but the element's own is asked for."""
    arguments = attention.arguments_of(AttentionCase(dtype=dtype), device)
    for name in ("query", "out", "key_cache", "value_cache"):
        tensor = arguments[name]
        flat = tensors.poisoned((tensor.numel() + 1,), tensor.dtype, device)
        arguments[name] = flat[1:].view(tensor.shape)
        arguments[name].copy_(tensor)
    attention.check(version, arguments)


@each_device
@each_version
def test_sequences_may_share_blocks(version, device):
    arguments = attention.arguments_of(AttentionCase(seq_lens=(40, 40, 40)), device)
    arguments["block_tables"][1:] = arguments["block_tables"][0]
    attention.check(version, arguments)


@each_device
@each_version
def test_logits_that_only_a_running_maximum_survives(version, device):
    """exp overflows at 89: without subtracting the maximum everything would be inf / inf."""
    arguments = attention.arguments_of(AttentionCase(seq_lens=(600, 33)), device)
    arguments["scale"] = 4.0
    attention.check(version, arguments)
    rows = reference.gather_keys(
        arguments["key_cache"].cpu(), arguments["block_tables"][0].cpu(), 600, 16, "auto", None
    )
    logits = 4.0 * torch.einsum("hd,thd->ht", arguments["query"][0, :2].cpu().double(), rows)
    assert logits.max() > 89


@each_device
@each_version
@each_dtype
@pytest.mark.parametrize("largest", [3e7, 6e7, 1e8])
@pytest.mark.parametrize("kind", ["auto", "fp8_e4m3", "fp8_e5m2"])
def test_logits_so_large_that_float32_is_coarse(kind, largest, dtype, version, device):
    """It has multiples of 2, 4 or 8 there, and of their base-2 equals of 4, 8 or 16."""
    case = AttentionCase(seq_lens=(600, 33), dtype=dtype, kv_cache_dtype=kind)
    arguments = attention.arguments_of(case, device)
    key = {"auto": 1024.0, "fp8_e4m3": 0x7E, "fp8_e5m2": 0x7B}[kind]  # fp8: the largest number
    arguments["key_cache"].fill_(key)
    arguments["query"].fill_(1024.0)
    number = {"auto": 1024.0, "fp8_e4m3": 448.0, "fp8_e5m2": 57344.0}[kind]
    arguments["scale"] = largest / (1024.0 * number * case.head_size)
    assert attention.check(version, arguments).any()


@each_device
@each_version
@each_dtype
def test_logits_of_minus_infinity_have_no_weight(dtype, version, device):
    arguments = attention.arguments_of(AttentionCase(seq_lens=(600, 33), dtype=dtype), device)
    arguments["key_cache"].fill_(1.0)
    arguments["query"][:, 1:3] = float("-inf")
    out = attention.check(version, arguments)
    assert not out[:, 1:3].any() and out[:, 0].any()


_INFINITY = float("inf")
_SPECIAL = [(kind, special) for kind in ("auto", "fp8_e5m2") for special in (_INFINITY, -_INFINITY)]
_SPECIAL += [(kind, float("nan")) for kind in ("auto", "fp8_e4m3", "fp8_e5m2")]


@each_device
@each_version
@each_dtype
@pytest.mark.parametrize("cache", ["key_cache", "value_cache"])
@pytest.mark.parametrize(("kind", "special"), _SPECIAL)
def test_a_number_that_is_not_finite_stays_so(kind, special, cache, dtype, version, device):
    """One of the newest token of each sequence, in the first of two kv heads."""
    case = AttentionCase(seq_lens=(1, 5, 600), num_heads=8, dtype=dtype, kv_cache_dtype=kind)
    arguments = attention.arguments_of(case, device)
    fp8 = {"fp8_e4m3": torch.float8_e4m3fn, "fp8_e5m2": torch.float8_e5m2}
    numbers = arguments[cache].view(fp8.get(kind, dtype))
    for length, row in zip(case.seq_lens, arguments["block_tables"].cpu(), strict=True):
        block, token = int(row[(length - 1) // 16]), (length - 1) % 16
        place = (block, 0, 0, token, 3) if cache == "key_cache" else (block, 0, 7, token)
        numbers[place] = special
    out = attention.check(version, arguments)
    assert not out[:, :4].isfinite().all() and out[:, 4:].isfinite().all()


@each_device
def test_a_table_of_more_tokens_than_a_length_can_say(device):
    """max_seq_len is read from its width, and is an int32 to the operators."""
    arguments = attention.arguments_of(AttentionCase(seq_lens=(40,), block_size=32), device)
    wide = torch.empty(1, 2**26 + 1, dtype=torch.int32, device=device)  # for 2^31 tokens and more
    wide[0, :2] = arguments["block_tables"][0, :2]
    names = ("query", "key_cache", "value_cache", "seq_lens", "k_scale", "v_scale")
    out = stablekv.paged_attention(**{n: arguments[n] for n in names}, block_tables=wide)
    want = attention.expected_rows(arguments)
    torch.testing.assert_close(out.cpu().double(), want, atol=1e-5, rtol=1e-5)


@each_device
@each_version
def test_alibi_slopes_of_zero_are_no_bias(version, device):
    arguments = attention.arguments_of(AttentionCase(), device)
    plain = attention.check(version, arguments).clone()
    arguments["alibi_slopes"] = torch.zeros(4, device=device)
    assert torch.equal(attention.check(version, arguments), plain)


@each_device
@each_version
@each_dtype
def test_scales_of_a_plain_cache_are_not_read(dtype, version, device):
    arguments = attention.arguments_of(AttentionCase(dtype=dtype), device)
    plain = attention.check(version, arguments).clone()
    arguments["k_scale"] = arguments["v_scale"] = torch.tensor(float("nan"), device=device)
    assert torch.equal(attention.run(version, arguments), plain)


@each_device
@each_version
@pytest.mark.parametrize("lengths", [(), (0, 0)])
def test_nothing_to_attend_to(lengths, version, device):
    case = AttentionCase(seq_lens=lengths, spare_columns=0)
    out = attention.check(version, attention.arguments_of(case, device))
    assert not out.any()


@each_device
@each_version
def test_the_same_call_gives_the_same_bits(version, device):
    case = AttentionCase(seq_lens=(700, 1, 513), dtype=torch.float32)
    first = attention.check(version, attention.arguments_of(case, device))
    second = attention.check(version, attention.arguments_of(case, device))
    assert torch.equal(first, second)


@each_device
@each_dtype
def test_v1_and_v2_agree(dtype, device):
    """Each is within its bound of the reference; here they meet within the sum of both."""
    case = AttentionCase(seq_lens=(1500, 512, 20, 0), dtype=dtype, alibi=True)
    first = attention.check("v1", attention.arguments_of(case, device)).double()
    second = attention.check("v2", attention.arguments_of(case, device)).double()
    unit = torch.finfo(dtype).eps
    largest = first.abs().amax(dim=2, keepdim=True)
    assert ((first - second).abs() <= 1e-5 + 2 * unit * largest).all()


@each_device
@pytest.mark.parametrize(
    "lengths, heads",
    [
        ((512, 3), 2),
        ((513, 3), 2),
        ((600,) * 9, 64),
        ((600,) * 8, 64),
        ((8192,) + (1,) * 8, 64),
        ((8193,) + (1,) * 8, 64),
    ],
)
def test_paged_attention_is_v1(monkeypatch, lengths, heads, device):
    case = AttentionCase(
        seq_lens=lengths, num_heads=heads, num_kv_heads=1, head_size=32, dtype=torch.float16
    )
    calls = []
    library = stablekv.attention._library
    for version in ("v1", "v2"):
        name = f"paged_attention_{version}"
        operator = getattr(library, name)
        monkeypatch.setattr(
            library,
            name,
            lambda *values, version=version, run=operator: (calls.append(version), run(*values)),
        )
    arguments = attention.arguments_of(case, device)
    out = _convenient(arguments, max_seq_len=arguments["max_seq_len"])
    assert calls == ["v1"]
    monkeypatch.undo()
    assert torch.equal(out, attention.check("v1", arguments))


@each_device
@pytest.mark.parametrize("kind", ["auto", "fp8"])
def test_paged_attention_fills_in_what_is_not_given(kind, device):
    case = AttentionCase(kv_cache_dtype=kind)
    arguments = attention.arguments_of(case, device)
    want = attention.check("v1", arguments)
    assert torch.equal(_convenient(arguments), want)  # max_seq_len from the table

    given = torch.empty_like(want)
    assert _convenient(arguments, out=given) is given
    assert torch.equal(given, want)

    sparse = stablekv.BlockSparse(local_blocks=1, vert_stride=2, block_size=16)
    case = dataclasses.replace(case, block_sparse=sparse)
    want = attention.check("v1", attention.arguments_of(case, device))
    assert torch.equal(_convenient(arguments, block_sparse=sparse), want)


def _convenient(arguments, **more):
    return stablekv.paged_attention(
        arguments["query"],
        arguments["key_cache"],
        arguments["value_cache"],
        arguments["block_tables"],
        arguments["seq_lens"],
        kv_cache_dtype=arguments["kv_cache_dtype"],
        **more,
    )


@each_device
@pytest.mark.parametrize(
    "wrong, message",
    [
        (
            {"query": torch.ones(2, 32)},
            "paged_attention: query must have shape [num_seqs, num_heads, head_size], got [2, 32]",
        ),
        (
            {"query": torch.ones(())},
            "paged_attention: query must have shape [num_seqs, num_heads, head_size], got []",
        ),
        (
            {"key_cache": torch.ones(1, 1, 32, 8)},
            "paged_attention: key_cache must have shape [num_blocks, num_kv_heads, head_size / x, "
            "block_size, x], got [1, 1, 32, 8]",
        ),
        (
            {"block_tables": torch.zeros(1, dtype=torch.int32)},
            "paged_attention: block_tables must have shape [num_seqs, blocks], got [1]",
        ),
        (
            {"query": torch.ones(1, 1, 0)},
            "paged_attention_v1: query must have a head size in [32, 64, 80, 96, 112, 120, 128, "
            "192, 256], got 0 (Unsupported head size: 0)",
        ),
        (
            {"max_seq_len": 2**60},
            "paged_attention_v1: max_seq_len must be in [0, 2147483647], got 1152921504606846976",
        ),
        (
            {"max_seq_len": -(2**63)},
            "paged_attention_v1: max_seq_len must be in [0, 2147483647], got -9223372036854775808",
        ),
    ],
    ids=["query-2d", "query-0d", "key_cache", "tables", "head_size", "max_seq_len", "negative"],
)
def test_paged_attention_refuses_in_words(wrong, message, device):
    arguments = {
        "query": torch.ones(1, 1, 32),
        "key_cache": torch.ones(1, 1, 8, 8, 4),
        "value_cache": torch.ones(1, 1, 32, 8),
        "block_tables": torch.zeros(1, 1, dtype=torch.int32),
        "seq_lens": torch.ones(1, dtype=torch.int32),
        **wrong,
    }
    moved = {n: v.to(device) if isinstance(v, torch.Tensor) else v for n, v in arguments.items()}
    with pytest.raises(RuntimeError) as error:
        stablekv.paged_attention(**moved)
    assert str(error.value).splitlines()[0] == message
