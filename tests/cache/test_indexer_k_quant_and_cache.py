"""indexer_k_quant_and_cache against the reference, to the last byte of the cache."""

from dataclasses import replace

import pytest
import stablekv
import torch
from stablekv import layouts, reference_mla

from tests.support import mla, tensors
from tests.support.devices import each_device
from tests.support.mla import MlaCase

_HALVES = (torch.float16, torch.bfloat16)
_CASE = MlaCase(kv_lora_rank=128, quant_block_size=128, dtype=torch.bfloat16, kv_cache_dtype="")
each_half = pytest.mark.parametrize("dtype", _HALVES, ids=layouts.dtype_name)
each_format = pytest.mark.parametrize("scales", ["ue8m0", "", "fp8e4m3"])


def _check(case, device):
    mla.check_indexer(mla.indexer_arguments(case, device))


@each_device
@each_half
@each_format
@pytest.mark.parametrize(
    "head_dim, group",
    [
        *((head_dim, 128) for head_dim in (128, 256, 384, 512, 640)),
        *((256, group) for group in (1, 2, 4, 64, 256)),
        (96, 32),
        (15, 5),
        (7, 7),
        (1, 1),
        (1000, 1000),
    ],
)
def test_heads_and_groups_of_any_size(head_dim, group, scales, dtype, device):
    case = replace(
        _CASE, kv_lora_rank=head_dim, quant_block_size=group, dtype=dtype, kv_cache_dtype=scales
    )
    _check(case, device)


@each_device
@each_format
@pytest.mark.parametrize("block_size", [1, 3, 16, 64])
def test_blocks_of_any_number_of_tokens(block_size, scales, device):
    case = replace(
        _CASE, block_size=block_size, num_blocks=-(-64 // block_size), kv_cache_dtype=scales
    )
    _check(case, device)
    _check(replace(case, kv_lora_rank=15, quant_block_size=5), device)


@each_device
@each_half
@each_format
def test_every_16_bit_value_is_a_largest_magnitude(scales, dtype, device):
    """Groups of one: every scale that there is."""
    k = torch.arange(-(2**15), 2**15, dtype=torch.int16, device=device).view(dtype).view(-1, 512)
    arguments = {
        "k": k,
        "kv_cache": torch.zeros(8, 16, 5 * 512, dtype=torch.uint8, device=device),
        "slot_mapping": torch.arange(128, device=device),
        "quant_block_size": 1,
        "kv_cache_dtype": scales,
    }
    mla.check_indexer(arguments)


@each_half
def test_powers_of_two_are_those_of_the_logarithm(dtype):
    """For all 16-bit values: exp2(ceil(log2(s))), although a float32 logarithm is rounded."""
    amax = torch.arange(2**15, dtype=torch.int16).view(dtype).float()
    amax = amax[amax.isfinite()]
    plain = reference_mla.indexer_scale(amax, "")
    power = reference_mla.indexer_scale(amax, "ue8m0")
    assert torch.equal(power, torch.exp2(torch.ceil(torch.log2(plain))))
    assert (power >= plain).all() and (power < 2 * plain).all()


def _one_group(elements, scales, device):
    """The codes and the scale of one group."""
    cache = torch.zeros(1, 1, len(elements) + 4, dtype=torch.uint8, device=device)
    slots = torch.zeros(1, dtype=torch.int64, device=device)
    stablekv.indexer_k_quant_and_cache(
        elements[None].to(device), cache, slots, len(elements), scales
    )
    page = cache.cpu().flatten()
    return page[:-4], float(page[-4:].clone().view(torch.float32))


@each_device
@each_half
@pytest.mark.parametrize("largest", [0.0, 1e-7, 6e-5])
def test_small_groups_have_the_least_scale(largest, dtype, device):
    elements = torch.linspace(-largest, largest, 128).to(dtype)
    for scales in ("", "ue8m0"):
        _, scale = _one_group(elements, scales, device)
        least = float(torch.tensor(1e-4) / 448)
        assert scale == (least if scales == "" else 2.0**-22)
        assert least <= 2.0**-22 < 2 * least


@each_device
@each_half
def test_the_value_is_kept(dtype, device):
    elements = torch.randn(128, generator=torch.Generator().manual_seed(1)).to(dtype)
    for scales in ("", "ue8m0"):
        codes, scale = _one_group(elements, scales, device)
        values = codes.view(torch.float8_e4m3fn).float() * scale
        torch.testing.assert_close(values, elements.float(), rtol=2**-4, atol=1e-4)


@each_device
@each_half
@each_format
def test_nan_and_infinity(scales, dtype, device):
    elements = torch.linspace(-3, 2, 128).to(dtype)
    plain_codes, plain_scale = _one_group(elements, scales, device)
    elements[7] = float("nan")
    codes, scale = _one_group(elements, scales, device)
    plain_codes[7] = 0x7F
    assert torch.equal(codes, plain_codes) and scale == plain_scale
    elements[9] = -float("inf")
    codes, scale = _one_group(elements, scales, device)
    assert scale == float("inf")
    assert codes[[7, 9]].tolist() == [0x7F, 0x7F]
    codes[[7, 9]] = 0
    assert set(codes.tolist()) == {0, 0x80}


# ---- Memory


@each_device
@each_format
@pytest.mark.parametrize("padding", [1, 4, 128])
def test_blocks_with_a_stride(padding, scales, device):
    """Pages of a larger slot: the stride between blocks is the tensor's."""
    arguments = mla.indexer_arguments(replace(_CASE, kv_cache_dtype=scales), device)
    dense = arguments["kv_cache"]
    size = dense[0].numel()
    wide = tensors.poisoned((len(dense), size + padding), torch.uint8, device)
    arguments["kv_cache"] = wide[:, :size].unflatten(1, dense.shape[1:])
    assert arguments["kv_cache"].data_ptr() == wide.data_ptr()
    arguments["kv_cache"].copy_(dense)
    mla.check_indexer(arguments)


@each_device
@pytest.mark.parametrize("padding", [1, 4, 64])
@pytest.mark.parametrize("group", [128, 5])
def test_rows_of_k_with_a_stride(group, padding, device):
    head_dim = 128 if group == 128 else 15
    arguments = mla.indexer_arguments(
        replace(_CASE, kv_lora_rank=head_dim, quant_block_size=group), device
    )
    dense = arguments["k"]
    wide = tensors.poisoned((len(dense), head_dim + padding), dense.dtype, device)
    wide[:, :head_dim] = dense
    arguments["k"] = wide[:, :head_dim]
    mla.check_indexer(arguments)


@each_device
@pytest.mark.parametrize("name", ["k", "kv_cache"])
@pytest.mark.parametrize("elements", [1, 2, 3, 4])
def test_tensors_that_begin_at_any_element(elements, name, device):
    arguments = mla.indexer_arguments(_CASE, device)
    arguments[name] = tensors.shifted(arguments[name], elements)
    mla.check_indexer(arguments)


@each_device
def test_blocks_two_to_the_31_bytes_apart(device):
    arguments = mla.indexer_arguments(replace(_CASE, slots=(16, 3), spare_tokens=0), device)
    dense = {**arguments, "kv_cache": arguments["kv_cache"][:2].clone()}
    pitch = 2**31 + 64
    memory = torch.empty(pitch + 16 * 132, dtype=torch.uint8, device=device)
    arguments["kv_cache"] = memory.as_strided((2, 16, 132), (pitch, 132, 1))
    arguments["kv_cache"].copy_(dense["kv_cache"])
    mla.check_indexer(dense)
    stablekv.indexer_k_quant_and_cache(**arguments)
    assert torch.equal(arguments["kv_cache"], dense["kv_cache"])


# ---- Slots


@each_device
@pytest.mark.parametrize("slots", [(-1, -1), (-1, 7, -(2**63), -2, 8), (15, 16, 31, 32, 63), ()])
@pytest.mark.parametrize("spare_tokens", [0, 3])
def test_negative_slots_are_padding(spare_tokens, slots, device):
    """NaN in the rows of padding shows when they are read."""
    case = replace(_CASE, slots=slots, spare_tokens=spare_tokens)
    arguments = mla.indexer_arguments(case, device)
    for i, slot in enumerate(slots):
        if slot < 0:
            arguments["k"][i] = float("nan")
    mla.check_indexer(arguments)
