"""reshape_and_cache_flash into nvfp4 caches, against the reference to the last byte of a page."""

from dataclasses import replace

import pytest
import stablekv
import torch
from stablekv import reference_nvfp4

from tests.support import flash, nvfp4, tensors
from tests.support.devices import each_device, on_cuda
from tests.support.nvfp4 import CASE

each_dtype = pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
each_layout = pytest.mark.parametrize("layout", ["NHD", "HND"])


@each_device
@each_dtype
@each_layout
@pytest.mark.parametrize("heads, size, block_size", [(1, 64, 4), (3, 128, 16), (2, 192, 8)])
def test_sizes_and_layouts(heads, size, block_size, layout, dtype, device):
    case = replace(CASE, num_heads=heads, head_size=size, block_size=block_size, layout=layout)
    nvfp4.check(nvfp4.arguments_of(replace(case, dtype=dtype, num_blocks=16), device))


@each_device
@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-30, 3e38, 1e-42, 0.0, -0.5, float("nan")])
def test_scales(scale, device):
    """Saturated group scales, groups whose scale rounds to zero, and scales that make no sense."""
    nvfp4.check(nvfp4.arguments_of(replace(CASE, k_scale=scale, v_scale=scale), device))


def _encoded(row, device, scale=1.0):
    """The codes (16) and the scale of a group that the operator is given."""
    case = replace(CASE, slots=(0,), num_heads=1, head_size=64, spare_tokens=0)
    arguments = nvfp4.arguments_of(replace(case, k_scale=scale), device)
    arguments["key"][0, 0, :16] = torch.tensor(row)
    nvfp4.check(arguments)
    page = arguments["key_cache"][0].flatten().cpu()
    codes = torch.stack([page[:8] & 15, page[:8] >> 4], -1).flatten()
    return codes.tolist(), int(page[16 * 32])


@each_device
def test_ties_go_to_the_even_code_and_zero_keeps_its_sign(device):
    """amax 6 and scale 1: the group's scale is 1 and elements are encoded as they are."""
    row = [6.0, 0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0, -0.25, -0.75, -1.25, -5.0, 0.0, -0.0, 0.5]
    codes, scale = _encoded([*row, -6.0], device)
    assert codes == [7, 0, 2, 2, 4, 4, 6, 6, 8, 10, 10, 14, 0, 8, 1, 15]
    assert scale == 0x38  # 1


@each_device
def test_a_group_of_zeros(device):
    assert _encoded([0.0, -0.0] * 8, device) == ([0, 8] * 8, 0)


@each_device
def test_a_scale_saturates(device):
    codes, scale = _encoded([60000.0, -448.0] * 8, device)
    assert scale == 0x7E  # 448
    assert codes == [7, 10] * 8  # 6, and -1


@each_device
def test_nan_and_infinity(device):
    nan, inf = float("nan"), float("inf")
    assert _encoded([nan, -nan, 6.0, -1.0] * 4, device) == ([7, 7, 7, 10] * 4, 0x38)
    assert _encoded([inf, -inf, nan, -0.0] * 4, device) == ([7, 15, 7, 8] * 4, 0x7E)
    assert _encoded([nan] * 16, device) == ([7] * 16, 0)


@each_device
@each_layout
def test_dequantised_values_are_within_the_error_of_the_format(layout, device):
    """An element is off by half the largest step, and by the rounding of its group's scale."""
    slots = tuple(range(64))
    case = replace(CASE, slots=slots, spare_tokens=0, layout=layout, k_scale=0.01, v_scale=0.01)
    arguments = nvfp4.arguments_of(case, device)
    random = torch.Generator().manual_seed(5)
    for side, swizzled in (("key", False), ("value", nvfp4.swizzles_values(device))):
        wanted = torch.randn(arguments[side].shape, generator=random).to(torch.bfloat16)
        arguments[side].copy_(wanted)
        stablekv.reshape_and_cache_flash(**arguments)
        cache = flash.as_layout(arguments[f"{side}_cache"].cpu(), layout)
        scale = arguments["k_scale"].cpu()
        got = reference_nvfp4.dequantise(cache, scale, swizzled).flatten(0, 1)
        wanted = wanted.double()
        amax = wanted.unflatten(2, (-1, 16)).abs().amax(-1).repeat_interleave(16, -1)
        # Half a step is 1 of 6 for the largest codes; e4m3 rounds the scale by 1/16 at most.
        assert ((got - wanted).abs() <= amax * (1 / 6 + 1 / 16)).all()
        assert (got - wanted).abs().mean() < 0.12 * wanted.abs().mean()


@each_device
@each_layout
def test_keys_and_values_in_one_buffer(layout, device):
    """[num_blocks, 2, page]: what lies in a page is dense, and the pages of a side have gaps."""
    arguments = nvfp4.arguments_of(replace(CASE, layout=layout), device)
    dense = [arguments[name] for name in ("key_cache", "value_cache")]
    inner = [d if layout == "NHD" else d.permute(0, 2, 1, 3) for d in dense]
    both = torch.stack(inner, 1)
    for i, name in enumerate(("key_cache", "value_cache")):
        view = both[:, i]
        arguments[name] = view if layout == "NHD" else view.permute(0, 2, 1, 3)
    nvfp4.check(arguments)


@each_device
@pytest.mark.parametrize("name", ["key", "value", "key_cache", "value_cache"])
@pytest.mark.parametrize("elements", [1, 2, 4])
def test_tensors_that_begin_at_any_element(elements, name, device):
    arguments = nvfp4.arguments_of(CASE, device)
    nvfp4.check({**arguments, name: tensors.shifted(arguments[name], elements)})


@each_device
@pytest.mark.parametrize("slots", [(-1, -1), (-1, 7, -(2**63), -2, 8), ()])
def test_negative_slots_are_padding(slots, device):
    nvfp4.check(nvfp4.arguments_of(replace(CASE, slots=slots), device))


@pytest.mark.parametrize("name", ["key_cache", "value_cache"])
def test_both_caches_have_one_layout(name):
    arguments = nvfp4.arguments_of(CASE, "cpu")
    arguments[name] = flash.as_layout(arguments[name], "HND")
    with pytest.raises(RuntimeError, match="value_cache must have pages without gaps, in the "):
        stablekv.reshape_and_cache_flash(**arguments)


@on_cuda
def test_slots_past_the_cache_are_skipped_on_cuda():
    past, padded = (
        nvfp4.arguments_of(replace(CASE, slots=(3, slot, 16)), "cuda") for slot in (2**40, -1)
    )
    stablekv.reshape_and_cache_flash(**past)
    nvfp4.check(padded)
    for name in ("key_cache", "value_cache"):
        assert torch.equal(past[name], padded[name])
