"""reshape_and_cache against the reference, to the last byte of both caches."""

import pytest
import stablekv
import torch
from stablekv import layouts

from tests.support import cache, tensors
from tests.support.cache import CacheCase
from tests.support.devices import each_device

_KINDS = ("auto", "fp8", "fp8_e4m3", "fp8_e5m2")
each_dtype = pytest.mark.parametrize("dtype", layouts.ELEMENT_DTYPES, ids=layouts.dtype_name)
each_kind = pytest.mark.parametrize("kind", _KINDS)

_COVERING = [
    CacheCase(
        head_size=head_size,
        kv_cache_dtype=kind,
        dtype=layouts.ELEMENT_DTYPES[(i + j) % 3],
        block_size=block_size,
        num_blocks=48 // block_size,
    )
    for i, head_size in enumerate(layouts.HEAD_SIZES)
    for j, (kind, block_size) in enumerate(
        [("auto", 8), ("auto", 16), ("fp8", 16), ("fp8_e5m2", 8)]
    )
    if kind == "auto" or head_size % 16 == 0
]


@each_device
@pytest.mark.parametrize("case", _COVERING, ids=str)
def test_agrees_with_the_reference(case, device):
    cache.check(cache.arguments_of(case, device))


@each_device
@each_dtype
@each_kind
@pytest.mark.parametrize("block_size", layouts.BLOCK_SIZES)
@pytest.mark.parametrize("scales", [(0.0371, 3e-3), (1.0, 0.5), (3e-3, 7.0)])
def test_bytes_of_every_dtype_and_kind(scales, block_size, kind, dtype, device):
    case = CacheCase(
        dtype=dtype,
        kv_cache_dtype=kind,
        block_size=block_size,
        num_blocks=6,
        k_scale=scales[0],
        v_scale=scales[1],
    )
    cache.check(cache.arguments_of(case, device))


@each_device
@each_dtype
@pytest.mark.parametrize("kind", ["fp8", "fp8_e5m2"])
def test_every_16_bit_value_and_every_rounding(kind, dtype, device):
    """All of float16 or bfloat16; for float32 all fp8 values, midpoints and their neighbours."""
    if dtype == torch.float32:
        codes = torch.arange(256, dtype=torch.uint8).view(layouts.FP8_FORMATS[kind]).float()
        values = codes[codes.isfinite()].unique()
        points = torch.cat([values, (values[1:] + values[:-1]) / 2])
        inf = torch.tensor(float("inf"))
        x = torch.cat([points, torch.nextafter(points, inf), torch.nextafter(points, -inf)])
        x = torch.cat([x, x.new_zeros(-x.numel() % 1024)])
    else:
        x = torch.arange(-(2**15), 2**15, dtype=torch.int16).view(dtype)
    key = x.view(-1, 8, 128)
    shape = (-(-len(key) // 16), 8, 128, 16)
    arguments = {
        "key": key,
        "value": key.flip(0).contiguous(),
        "key_cache": torch.zeros(layouts.key_cache_shape(*shape, torch.uint8), dtype=torch.uint8),
        "value_cache": torch.zeros(shape, dtype=torch.uint8),
        "slot_mapping": torch.randperm(len(key)),
        "kv_cache_dtype": kind,
        "k_scale": torch.tensor(1.0),
        "v_scale": torch.tensor(0.75),
    }
    cache.check(
        {n: v.to(device) if n not in ("kv_cache_dtype",) else v for n, v in arguments.items()}
    )


@each_device
@pytest.mark.parametrize("scale", [0.0, -0.0, -0.5, float("inf"), float("nan"), 1e-45, 3e38])
@pytest.mark.parametrize("kind", ["fp8", "fp8_e5m2"])
def test_scales_that_make_no_sense_follow_the_formula(kind, scale, device):
    case = CacheCase(kv_cache_dtype=kind, k_scale=1.0, v_scale=1.0)
    arguments = cache.arguments_of(case, device)
    arguments["k_scale"].fill_(scale)
    arguments["v_scale"].fill_(scale)
    cache.check(arguments)


@each_device
@pytest.mark.parametrize("kind", ["auto", "fp8"])
@pytest.mark.parametrize("chunks", [511, 512, 513, 640, 1024, 2048])
def test_tokens_of_any_number_of_chunks(chunks, kind, device):
    """Chunks are 16 bytes of key; upstream writes the first 512 of a token only."""
    x = 8 if kind == "auto" else 16
    case = CacheCase(
        num_heads=chunks, head_size=x, dtype=torch.float16, kv_cache_dtype=kind, slots=(3, 17, 0)
    )
    cache.check(cache.arguments_of(case, device))


@each_device
@pytest.mark.parametrize("heads", [40, 64])
def test_the_heads_of_a_large_model(heads, device):
    case = CacheCase(num_heads=heads, head_size=128, dtype=torch.bfloat16)
    cache.check(cache.arguments_of(case, device))


@each_device
@each_kind
def test_key_and_value_as_slices_of_a_packed_qkv(kind, device):
    case = CacheCase(dtype=torch.bfloat16, kv_cache_dtype=kind, spare_tokens=0)
    arguments = cache.arguments_of(case, device)
    packed = tensors.poisoned((6, 3, 3, 32), torch.bfloat16, device)
    for i, name in enumerate(("key", "value"), start=1):
        packed[:, i] = arguments[name]
        arguments[name] = packed[:, i]
    cache.check(arguments)


@each_device
@each_kind
def test_key_and_value_with_gaps_between_heads(kind, device):
    arguments = cache.arguments_of(CacheCase(dtype=torch.float16, kv_cache_dtype=kind), device)
    arguments["key"] = tensors.with_gaps(arguments["key"], 1)
    arguments["value"] = tensors.with_gaps(arguments["value"], 0)
    cache.check(arguments)


@each_device
@each_kind
def test_keys_and_values_interleaved_in_one_buffer(kind, device):
    arguments = cache.arguments_of(CacheCase(dtype=torch.float16, kv_cache_dtype=kind), device)
    keys, values = arguments["key_cache"], arguments["value_cache"]
    both = tensors.poisoned((len(keys), 2, keys[0].numel()), keys.dtype, device)
    arguments["key_cache"] = both[:, 0].view(keys.shape)
    arguments["value_cache"] = both[:, 1].view(values.shape)
    for name, old in (("key_cache", keys), ("value_cache", values)):
        tensors.bytes_of(arguments[name]).copy_(tensors.bytes_of(old))
    cache.check(arguments)
    assert (tensors.bytes_of(keys) != tensors.bytes_of(arguments["key_cache"])).any()


@each_device
@pytest.mark.parametrize("dim", [0, 1])
@each_kind
def test_caches_with_gaps(kind, dim, device):
    arguments = cache.arguments_of(CacheCase(dtype=torch.float32, kv_cache_dtype=kind), device)
    arguments["key_cache"] = tensors.with_gaps(arguments["key_cache"], dim)
    arguments["value_cache"] = tensors.with_gaps(arguments["value_cache"], 1 - dim)
    cache.check(arguments)


@each_device
@each_dtype
@each_kind
def test_tensors_that_begin_at_any_element(kind, dtype, device):
    """No alignment but the element's own is asked for."""
    arguments = cache.arguments_of(CacheCase(dtype=dtype, kv_cache_dtype=kind), device)
    for name in ("key", "value", "key_cache", "value_cache"):
        tensor = arguments[name]
        flat = tensors.poisoned((tensor.numel() + 1,), tensor.dtype, device)
        arguments[name] = flat[1:].view(tensor.shape)
        tensors.bytes_of(arguments[name]).copy_(tensors.bytes_of(tensor))
    cache.check(arguments)


@each_device
@pytest.mark.parametrize("kind", ["auto", "fp8"])
@pytest.mark.parametrize("block_size", [1, 3, 64])
def test_blocks_of_any_number_of_tokens(block_size, kind, device):
    """Paged attention reads blocks of 8, 16 and 32 only; writing them knows no such limit."""
    case = CacheCase(
        block_size=block_size,
        num_blocks=-(-64 // block_size),
        dtype=torch.float16,
        kv_cache_dtype=kind,
    )
    cache.check(cache.arguments_of(case, device))


@each_device
@each_kind
def test_every_slot_of_the_cache(kind, device):
    slots = tuple(torch.randperm(64, generator=torch.Generator().manual_seed(1)).tolist())
    case = CacheCase(slots=slots, dtype=torch.float16, kv_cache_dtype=kind)
    cache.check(cache.arguments_of(case, device))


@each_device
@each_kind
@pytest.mark.parametrize("slots", [(-1, -1, -1), (-1, 7, -(2**63), -2, 8), (15, 16, 31, 32, 63)])
def test_negative_slots_are_padding(slots, kind, device):
    """NaN in the rows of padding shows when they are read."""
    arguments = cache.arguments_of(CacheCase(slots=slots, kv_cache_dtype=kind), device)
    for i, slot in enumerate(slots):
        if slot < 0:
            arguments["key"][i] = arguments["value"][i] = float("nan")
    cache.check(arguments)


@each_device
@each_kind
@pytest.mark.parametrize("spare_tokens", [0, 5])
def test_no_tokens_are_a_no_op(spare_tokens, kind, device):
    case = CacheCase(slots=(), spare_tokens=spare_tokens, kv_cache_dtype=kind)
    cache.check(cache.arguments_of(case, device))


@each_device
@each_dtype
def test_scales_of_a_plain_cache_are_not_read(dtype, device):
    arguments = cache.arguments_of(CacheCase(dtype=dtype), device)
    arguments["k_scale"] = arguments["v_scale"] = torch.tensor(float("nan"), device=device)
    cache.check(arguments)


@each_device
@pytest.mark.parametrize("kind", ["fp8", "fp8_e5m2"])
def test_what_is_written_is_what_paged_attention_reads(kind, device):
    """One token attended to alone gives its value back, but for the rounding of fp8."""
    case = CacheCase(
        slots=(32,), head_size=64, kv_cache_dtype=kind, spare_tokens=0, k_scale=0.5, v_scale=0.5
    )
    arguments = cache.arguments_of(case, device)
    arguments["key"] = torch.ones(1, 3, 64, device=device)
    arguments["value"] = torch.linspace(-3, 3, 192, device=device).view(1, 3, 64)
    cache.check(arguments)
    out = stablekv.paged_attention(
        torch.ones(1, 3, 64, device=device),
        arguments["key_cache"],
        arguments["value_cache"],
        torch.tensor([[2]], dtype=torch.int32, device=device),
        torch.tensor([1], dtype=torch.int32, device=device),
        kv_cache_dtype=kind,
        k_scale=arguments["k_scale"],
        v_scale=arguments["v_scale"],
    )
    step = 2.0**-3 if kind == "fp8" else 2.0**-2  # of the mantissa
    torch.testing.assert_close(out, arguments["value"], rtol=step / 2, atol=1e-2)


@each_device
def test_the_same_call_gives_the_same_bytes(device):
    case = CacheCase(slots=tuple(range(60)), dtype=torch.float16, kv_cache_dtype="fp8")
    first, second = (cache.arguments_of(case, device) for _ in range(2))
    cache.check(first)
    cache.check(second)
    assert torch.equal(first["key_cache"], second["key_cache"])
    assert torch.equal(first["value_cache"], second["value_cache"])
