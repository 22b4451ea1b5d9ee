"""reshape_and_cache_flash against the reference, to the last byte of both caches."""

import pytest
import stablekv
import torch
from stablekv import layouts

from tests.support import flash, tensors
from tests.support.devices import each_device, on_cuda
from tests.support.flash import FlashCase

_KINDS = ("auto", "fp8", "fp8_e4m3", "fp8_e5m2")
each_dtype = pytest.mark.parametrize("dtype", layouts.ELEMENT_DTYPES, ids=layouts.dtype_name)
each_kind = pytest.mark.parametrize("kind", _KINDS)
each_layout = pytest.mark.parametrize("layout", ["NHD", "HND"])
by_head = pytest.mark.parametrize("by_head", [False, True], ids=["by-tensor", "by-head"])


def _check(case, device):
    flash.check(flash.arguments_of(case, device))


@each_device
@each_dtype
@each_kind
@each_layout
@by_head
def test_dtypes_kinds_and_layouts(by_head, layout, kind, dtype, device):
    _check(
        FlashCase(dtype=dtype, kv_cache_dtype=kind, layout=layout, scale_per_head=by_head), device
    )


@each_device
@each_layout
@by_head
@pytest.mark.parametrize("kind", ["auto", "fp8"])
@pytest.mark.parametrize(
    "heads, size",
    [(1, 1), (1, 7), (2, 3), (1, 31), (4, 8), (1, 46), (3, 46), (2, 80), (3, 120), (1, 256)],
)
def test_heads_of_any_number_and_size(heads, size, kind, by_head, layout, device):
    """Fewer than 32 elements a token too: the operator of this name hangs there."""
    case = FlashCase(
        num_heads=heads,
        head_size=size,
        dtype=torch.bfloat16,
        kv_cache_dtype=kind,
        layout=layout,
        scale_per_head=by_head,
    )
    _check(case, device)


@each_device
@each_layout
@pytest.mark.parametrize("kind", ["auto", "fp8"])
@pytest.mark.parametrize("heads, size", [(40, 128), (64, 128), (513, 8), (2, 1100)])
def test_rows_longer_than_a_group_of_threads_takes_at_once(heads, size, kind, layout, device):
    case = FlashCase(
        slots=(3, 17, 0),
        num_heads=heads,
        head_size=size,
        num_blocks=2,
        dtype=torch.float16,
        kv_cache_dtype=kind,
        layout=layout,
    )
    _check(case, device)


@each_device
@each_layout
@pytest.mark.parametrize("kind", ["auto", "fp8_e5m2"])
@pytest.mark.parametrize("block_size", [1, 3, 64])
def test_blocks_of_any_number_of_tokens(block_size, kind, layout, device):
    case = FlashCase(
        block_size=block_size,
        num_blocks=-(-64 // block_size),
        dtype=torch.float16,
        kv_cache_dtype=kind,
        layout=layout,
    )
    _check(case, device)


@each_device
@each_layout
@pytest.mark.parametrize("kind", ["auto", "fp8"])
def test_every_slot_of_the_cache(kind, layout, device):
    slots = tuple(torch.randperm(64, generator=torch.Generator().manual_seed(1)).tolist())
    _check(FlashCase(slots=slots, dtype=torch.float16, kv_cache_dtype=kind, layout=layout), device)


# ---- Values


@each_device
@by_head
@pytest.mark.parametrize("kind", ["fp8", "fp8_e5m2"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=layouts.dtype_name)
def test_every_16_bit_value(dtype, kind, by_head, device):
    x = torch.arange(-(2**15), 2**15, dtype=torch.int16).view(dtype).view(-1, 8, 64)
    scale = torch.linspace(0.25, 3.0, 8) if by_head else torch.tensor(0.75)
    arguments = {
        "key": x,
        "value": x.flip(0).contiguous(),
        "key_cache": torch.zeros(8, 16, 8, 64, dtype=torch.uint8),
        "value_cache": torch.zeros(8, 16, 8, 64, dtype=torch.uint8),
        "slot_mapping": torch.randperm(128),
        "kv_cache_dtype": kind,
        "k_scale": scale,
        "v_scale": scale * 2,
    }
    flash.check(
        {n: v.to(device) if isinstance(v, torch.Tensor) else v for n, v in arguments.items()}
    )


@each_device
@pytest.mark.parametrize("kind", ["fp8", "fp8_e5m2"])
def test_every_rounding_of_float32(kind, device):
    """All fp8 values, the midpoints between them, and the neighbours of both."""
    codes = torch.arange(256, dtype=torch.uint8).view(layouts.FP8_FORMATS[kind]).float()
    values = codes[codes.isfinite()].unique()
    points = torch.cat([values, (values[1:] + values[:-1]) / 2])
    inf = torch.tensor(float("inf"))
    x = torch.cat([points, torch.nextafter(points, inf), torch.nextafter(points, -inf)])
    x = torch.cat([x, x.new_zeros(-x.numel() % 96)])
    num_tokens = x.numel() // 96
    case = FlashCase(slots=tuple(range(num_tokens)), spare_tokens=0, kv_cache_dtype=kind)
    case = FlashCase(**{**case.__dict__, "k_scale": 1.0, "v_scale": 0.5})
    arguments = flash.arguments_of(case, device)
    arguments["key"] = x.view(-1, 3, 32).to(device)
    arguments["value"] = (x / 2).view(-1, 3, 32).to(device)
    flash.check(arguments)


@each_device
@each_kind
@pytest.mark.parametrize("scale", [0.0, -0.5, 1e-45, 3e38, float("inf"), float("nan")])
def test_scales_that_make_no_sense_follow_the_formula(scale, kind, device):
    """A plain cache does not read them."""
    arguments = flash.arguments_of(FlashCase(kv_cache_dtype=kind, scale_per_head=True), device)
    arguments["k_scale"][1] = arguments["v_scale"][2] = scale
    flash.check(arguments)


# ---- Memory


@each_device
@each_layout
@pytest.mark.parametrize("kind", ["auto", "fp8"])
@pytest.mark.parametrize("at", [0, 1, 2, 3])
def test_keys_and_values_in_turns_in_one_buffer(at, kind, layout, device):
    """[2, N, ...], [N, 2, ...] and, within a block, a token and its turns."""
    case = FlashCase(dtype=torch.float16, kv_cache_dtype=kind, layout=layout)
    arguments = flash.arguments_of(case, device)
    dense = [arguments[name] for name in ("key_cache", "value_cache")]
    inner = [d if layout == "NHD" else d.permute(0, 2, 1, 3) for d in dense]
    shape = list(inner[0].shape)
    shape.insert(at, 2)
    both = tensors.poisoned(tuple(shape), inner[0].dtype, device)
    for i, name in enumerate(("key_cache", "value_cache")):
        view = both.select(at, i)
        tensors.bytes_of(view).copy_(tensors.bytes_of(inner[i]))
        arguments[name] = view if layout == "NHD" else view.permute(0, 2, 1, 3)
    flash.check(arguments)


@each_device
@pytest.mark.parametrize("kind", ["auto", "fp8"])
@pytest.mark.parametrize("layout_of_keys, layout_of_values", [("NHD", "HND"), ("HND", "NHD")])
def test_each_cache_has_its_own_strides(layout_of_keys, layout_of_values, kind, device):
    arguments = flash.arguments_of(FlashCase(kv_cache_dtype=kind), device)
    arguments["key_cache"] = flash.as_layout(arguments["key_cache"], layout_of_keys)
    values = tensors.with_gaps(arguments["value_cache"], 0)
    arguments["value_cache"] = flash.as_layout(values, layout_of_values)
    assert arguments["key_cache"].stride() != arguments["value_cache"].stride()
    flash.check(arguments)


@each_device
@each_kind
def test_key_and_value_as_slices_of_a_packed_qkv(kind, device):
    case = FlashCase(dtype=torch.bfloat16, kv_cache_dtype=kind)
    arguments = flash.arguments_of(case, device)
    packed = tensors.poisoned((14, 3, 3, 32), torch.bfloat16, device)
    for i, name in enumerate(("key", "value"), start=1):
        packed[:, i] = arguments[name]
        arguments[name] = packed[:, i]
    flash.check(arguments)


@each_device
@each_dtype
@each_kind
@pytest.mark.parametrize("elements", [1, 2, 4])
def test_tensors_that_begin_at_any_element(elements, kind, dtype, device):
    """No alignment but the element's own is asked for."""
    arguments = flash.arguments_of(FlashCase(dtype=dtype, kv_cache_dtype=kind), device)
    for name in ("key", "value", "key_cache", "value_cache"):
        flash.check({**arguments, name: tensors.shifted(arguments[name], elements)})


@each_device
@pytest.mark.parametrize("kind", ["auto", "fp8"])
@pytest.mark.parametrize("pitch", [33, 34, 36, 48])
def test_rows_of_any_pitch(pitch, kind, device):
    """Of the caches and of their sources: misaligned rows take a slower path, and do not fault."""
    case = FlashCase(dtype=torch.float16, kv_cache_dtype=kind)
    arguments = flash.arguments_of(case, device)
    for name in ("key", "value", "key_cache", "value_cache"):
        dense = arguments[name]
        wide = tensors.poisoned((*dense.shape[:-1], pitch), dense.dtype, device)
        view = wide[..., : case.head_size]
        tensors.bytes_of(view).copy_(tensors.bytes_of(dense))
        flash.check({**arguments, name: view})


@each_device
@each_layout
def test_blocks_two_to_the_31_bytes_apart(layout, device):
    case = FlashCase(
        slots=(16, -1, 3), num_blocks=2, kv_cache_dtype="fp8", spare_tokens=0, layout=layout
    )
    arguments = flash.arguments_of(case, device)
    dense = arguments["key_cache"]
    pitch = 2**31 + 16
    memory = torch.empty(pitch + dense[0].numel(), dtype=torch.uint8, device=device)
    apart = memory.as_strided(dense.shape, (pitch, *dense.stride()[1:]))
    apart.copy_(dense)
    stablekv.reshape_and_cache_flash(**{**arguments, "key_cache": apart})
    flash.check(arguments)
    assert torch.equal(apart, arguments["key_cache"])


# ---- Slots


@each_device
@pytest.mark.parametrize("kind", ["auto", "fp8"])
@pytest.mark.parametrize("slots", [(-1, -1), (-1, 7, -(2**63), -2, 8), (15, 16, 31, 32, 63)])
def test_negative_slots_are_padding(slots, kind, device):
    """NaN in the rows of padding shows when they are read."""
    arguments = flash.arguments_of(FlashCase(slots=slots, kv_cache_dtype=kind), device)
    for i, slot in enumerate(slots):
        if slot < 0:
            arguments["key"][i] = arguments["value"][i] = float("nan")
    flash.check(arguments)


@each_device
@pytest.mark.parametrize("spare_tokens", [0, 5])
def test_no_tokens_are_a_no_op(spare_tokens, device):
    _check(FlashCase(slots=(), spare_tokens=spare_tokens), device)


@each_device
def test_it_compiles_for_any_number_of_tokens(device):
    step = torch.compile(
        stablekv.reshape_and_cache_flash, fullgraph=True, dynamic=True, backend="aot_eager"
    )
    for num_tokens in (5, 9, 2):
        case = FlashCase(slots=tuple(range(num_tokens)), kv_cache_dtype="fp8")
        compiled, eager = (flash.arguments_of(case, device) for _ in range(2))
        step(**compiled)
        flash.check(eager)
        for name in ("key_cache", "value_cache"):
            assert torch.equal(compiled[name], eager[name])


@on_cuda
@pytest.mark.parametrize("kind", ["auto", "fp8"])
def test_slots_past_the_cache_are_skipped_on_cuda(kind):
    case = FlashCase(kv_cache_dtype=kind)
    past = tuple(2**40 if slot == 47 else slot for slot in case.slots)
    arguments = flash.arguments_of(FlashCase(slots=past, kv_cache_dtype=kind), "cuda")
    padded = flash.arguments_of(
        FlashCase(slots=tuple(-1 if s > 63 else s for s in past), kv_cache_dtype=kind), "cuda"
    )
    stablekv.reshape_and_cache_flash(**arguments)
    flash.check(padded)
    for name in ("key_cache", "value_cache"):
        got, want = tensors.bytes_of(arguments[name]), tensors.bytes_of(padded[name])
        assert torch.equal(got, want)


@on_cuda
def test_a_graph_replays_on_its_stream():
    case = FlashCase(kv_cache_dtype="fp8", dtype=torch.float16)
    arguments, eager = (flash.arguments_of(case, "cuda") for _ in range(2))
    stream, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
    slots = arguments["slot_mapping"].clone()
    arguments["slot_mapping"].fill_(-1)
    torch.cuda.synchronize()
    with torch.cuda.graph(graph, stream=stream):
        stablekv.reshape_and_cache_flash(**arguments)
    arguments["slot_mapping"].copy_(slots)
    graph.replay()
    flash.check(eager)
    for name in ("key_cache", "value_cache"):
        assert torch.equal(arguments[name], eager[name])
