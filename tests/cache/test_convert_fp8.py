"""convert_fp8 against the reference, to the last byte."""

import pytest
import stablekv
import torch
from stablekv import layouts

from tests.support import convert, tensors
from tests.support.devices import each_device

each_dtype = pytest.mark.parametrize("dtype", layouts.ELEMENT_DTYPES, ids=layouts.dtype_name)
each_format = pytest.mark.parametrize("kv_cache_dtype", layouts.FP8_FORMATS)
each_direction = pytest.mark.parametrize("build", [convert.to_fp8, convert.from_fp8])


@each_device
@each_format
@each_dtype
@each_direction
@pytest.mark.parametrize("scale", [1.0, 0.0371, 448.0, 1e-30, 3e38, 0.0, -2.0, float("nan")])
def test_scales(scale, build, dtype, kv_cache_dtype, device):
    arguments = build(dtype, kv_cache_dtype, device)
    convert.check({**arguments, "scale": scale})


@each_device
@each_direction
@pytest.mark.parametrize("shape", [(), (1,), (3,), (1023,), (2, 0, 3), (7, 1, 3, 11), (300, 1000)])
def test_shapes(shape, build, device):
    convert.check(build(torch.bfloat16, "fp8", device, shape))


@each_device
@each_dtype
@each_direction
@pytest.mark.parametrize("dst_offset, src_offset", [(1, 0), (0, 1), (2, 2), (4, 3), (4, 4)])
def test_tensors_that_begin_at_any_element(dst_offset, src_offset, build, dtype, device):
    arguments = build(dtype, "fp8", device)
    arguments["dst_cache"] = tensors.shifted(arguments["dst_cache"], dst_offset)
    arguments["src_cache"] = tensors.shifted(arguments["src_cache"], src_offset)
    convert.check(arguments)


@each_device
@each_direction
def test_any_order_of_dimensions_if_both_have_it(build, device):
    arguments = build(torch.float16, "fp8", device)
    for name in ("dst_cache", "src_cache"):
        arguments[name] = arguments[name].permute(2, 0, 1)
    convert.check(arguments)
    arguments["dst_cache"] = arguments["dst_cache"].contiguous()
    with pytest.raises(RuntimeError, match=r"dst_cache must have strides .* \(those of src_cache"):
        stablekv.convert_fp8(**arguments)


@each_device
@each_format
def test_every_code_survives_a_round_trip(kv_cache_dtype, device):
    codes = torch.arange(256, dtype=torch.uint8, device=device)
    wide = torch.empty(256, dtype=torch.float16, device=device)
    stablekv.convert_fp8(wide, codes, 1.0, kv_cache_dtype)
    back = torch.zeros_like(codes)
    stablekv.convert_fp8(back, wide, 1.0, kv_cache_dtype)
    finite = wide.isfinite()
    assert torch.equal(back[finite], codes[finite])
    assert (back[wide.isnan()] == 0x7F).all()


@each_device
def test_compiles(device):
    torch._dynamo.reset()

    @torch.compile(fullgraph=True, dynamic=True, backend="aot_eager")
    def step(dst, src):
        stablekv.convert_fp8(dst, src, 0.5)
        return dst + 1

    for tokens in (3, 8):
        arguments = convert.to_fp8(torch.float16, "fp8", device, (tokens, 40))
        want = torch.zeros_like(arguments["dst_cache"])
        stablekv.convert_fp8(want, arguments["src_cache"], 0.5)
        assert torch.equal(step(arguments["dst_cache"], arguments["src_cache"]), want + 1)
