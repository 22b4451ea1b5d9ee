"""concat_and_cache_mla against the reference, to the last byte of the cache."""

from dataclasses import replace

import pytest
import stablekv
import torch
from stablekv import layouts, reference_mla

from tests.support import mla, tensors
from tests.support.devices import each_device
from tests.support.mla import MlaCase

_KINDS = ("auto", "fp8", "fp8_e4m3", "fp8_e5m2")
_HALVES = (torch.float16, torch.bfloat16)
each_dtype = pytest.mark.parametrize("dtype", layouts.ELEMENT_DTYPES, ids=layouts.dtype_name)
each_half = pytest.mark.parametrize("dtype", _HALVES, ids=layouts.dtype_name)
each_kind = pytest.mark.parametrize("kind", _KINDS)

_DS_MLA = MlaCase(kv_cache_dtype=mla.DS_MLA, kv_lora_rank=512, pe_dim=64, dtype=torch.bfloat16)


def _check(case, device):
    mla.check_writer(mla.writer_arguments(case, device))


@each_device
@each_dtype
@each_kind
@pytest.mark.parametrize(
    "rank, pe_dim", [(512, 64), (256, 64), (128, 192), (33, 5), (7, 1), (1, 1)]
)
def test_ranks_and_sizes(rank, pe_dim, kind, dtype, device):
    _check(MlaCase(kv_lora_rank=rank, pe_dim=pe_dim, dtype=dtype, kv_cache_dtype=kind), device)


@each_device
@pytest.mark.parametrize("block_size", [1, 3, 16, 64])
@pytest.mark.parametrize("kind", ["auto", "fp8", mla.DS_MLA])
def test_blocks_of_any_number_of_tokens(kind, block_size, device):
    _check(
        replace(
            _DS_MLA, kv_cache_dtype=kind, block_size=block_size, num_blocks=-(-64 // block_size)
        ),
        device,
    )


@each_device
@each_half
@pytest.mark.parametrize("kind", ["auto", "fp8", mla.DS_MLA])
def test_more_tokens_than_a_cta_has_warps(kind, dtype, device):
    slots = torch.randperm(300, generator=torch.Generator().manual_seed(3)).tolist()
    slots[7] = slots[250] = -1
    case = replace(_DS_MLA, kv_cache_dtype=kind, dtype=dtype, slots=tuple(slots), num_blocks=20)
    _check(case, device)


@each_device
@each_dtype
@pytest.mark.parametrize("kind", ["fp8", "fp8_e5m2"])
@pytest.mark.parametrize("scale", [1.0, 0.0371, 3e-3, -0.5, 0.0, 1e-45, float("inf"), float("nan")])
def test_scales(scale, kind, dtype, device):
    _check(MlaCase(scale=scale, dtype=dtype, kv_cache_dtype=kind), device)


@each_device
@each_half
@pytest.mark.parametrize("kind", ["fp8", "fp8_e5m2"])
def test_every_16_bit_value(kind, dtype, device):
    x = torch.arange(-(2**15), 2**15, dtype=torch.int16).view(dtype).view(-1, 512)
    arguments = {
        "kv_c": x[:, :448],
        "k_pe": x[:, 448:],
        "kv_cache": torch.zeros(8, 16, 512, dtype=torch.uint8),
        "slot_mapping": torch.randperm(128),
        "kv_cache_dtype": kind,
        "scale": torch.tensor(0.75),
    }
    mla.check_writer({n: _to(v, device) for n, v in arguments.items()})


def _to(value, device):
    return value.to(device) if isinstance(value, torch.Tensor) else value


@each_device
@each_dtype
def test_the_scale_of_a_plain_cache_is_not_read(dtype, device):
    _check(MlaCase(dtype=dtype, scale=float("nan")), device)


# ---- fp8_ds_mla


def _ds_mla_token(kv_c, device, k_pe=None):
    """The bytes of one token, from its elements."""
    k_pe = torch.zeros(64, dtype=kv_c.dtype) if k_pe is None else k_pe
    cache = torch.zeros(1, 1, 656, dtype=torch.uint8, device=device)
    stablekv.concat_and_cache_mla(
        kv_c[None].to(device),
        k_pe[None].to(device),
        cache,
        torch.zeros(1, dtype=torch.int64, device=device),
        mla.DS_MLA,
        torch.ones((), device=device),
    )
    return cache[0, 0].cpu()


def _scales(token):
    return token[512:528].clone().view(torch.float32)


@each_device
@each_half
@pytest.mark.parametrize("seed", range(3))
def test_ds_mla_of_every_16_bit_value(seed, dtype, device):
    """Shuffled, so that tiles have a NaN or an infinity here and there."""
    random = torch.Generator().manual_seed(seed)
    codes = torch.randperm(2**16, generator=random).to(torch.int16)
    arguments = {
        "kv_c": codes.view(dtype).view(-1, 512),
        "k_pe": mla.noise((128, 64), dtype, seed),
        "kv_cache": mla.noise((9, 16, 656), torch.uint8, seed),
        "slot_mapping": torch.randperm(144, generator=random)[:128],
        "kv_cache_dtype": mla.DS_MLA,
        "scale": torch.tensor(1.0),
    }
    mla.check_writer({n: _to(v, device) for n, v in arguments.items()})


@each_device
@each_half
def test_ds_mla_of_every_largest_magnitude(dtype, device):
    """Each finite code of its own tile, beside smaller ones."""
    largest = torch.arange(2**15, dtype=torch.int16).view(dtype)
    largest = largest[largest.isfinite()]
    largest = torch.cat([largest, largest[: -len(largest) % 4]])
    fractions = torch.linspace(-1, 1, 128, dtype=torch.float64)
    tiles = (largest.double()[:, None] * fractions).to(dtype)
    tokens = len(tiles) // 4
    arguments = {
        "kv_c": tiles.view(tokens, 512),
        "k_pe": torch.zeros(tokens, 64, dtype=dtype),
        "kv_cache": torch.zeros(tokens, 1, 656, dtype=torch.uint8),
        "slot_mapping": torch.arange(tokens),
        "kv_cache_dtype": mla.DS_MLA,
        "scale": torch.tensor(1.0),
    }
    arguments = {n: _to(v, device) for n, v in arguments.items()}
    want = torch.empty(tokens, 656, dtype=torch.uint8)
    amax = tiles.double().abs().amax(1).float().view(tokens, 4)
    want_scales = torch.maximum(amax / 448, torch.tensor(torch.finfo(torch.float32).tiny))
    stablekv.concat_and_cache_mla(**arguments)
    got = arguments["kv_cache"].cpu().view(tokens, 656)
    assert torch.equal(got[:, 512:528].clone().view(torch.float32), want_scales)
    scales = want_scales.repeat_interleave(128, 1)
    want[:, :512] = stablekv.reference.encode_fp8(
        tiles.view(tokens, 512).float() / scales, torch.ones(()), torch.float8_e4m3fn
    )
    assert torch.equal(got[:, :512], want[:, :512])


@each_device
@each_half
def test_ds_mla_keeps_the_value(dtype, device):
    """Code times scale is the element, to half a step of the format."""
    kv_c = torch.randn(512, generator=torch.Generator().manual_seed(1)).to(dtype)
    k_pe = mla.noise((64,), dtype, seed=2)
    token = _ds_mla_token(kv_c, device, k_pe)
    values = token[:512].view(torch.float8_e4m3fn).float()
    scales = _scales(token).repeat_interleave(128)
    torch.testing.assert_close(values * scales, kv_c.float(), rtol=2**-4, atol=2e-5)
    assert values.abs().view(4, 128).amax(1).tolist() == [448.0] * 4
    assert torch.equal(token[528:], k_pe.view(torch.uint8))


@each_device
@each_half
def test_ds_mla_of_a_tile_without_values(dtype, device):
    """Zeros keep their sign; of NaN alone there is no largest magnitude."""
    kv_c = torch.zeros(512, dtype=dtype)
    kv_c[128:256] = -0.0
    kv_c[256:384] = float("nan")
    kv_c[384:] = -float("nan")
    token = _ds_mla_token(kv_c, device)
    assert token[:512].view(4, 128).tolist() == [
        [0x00] * 128,
        [0x80] * 128,
        [0x7F] * 128,
        [0x7F] * 128,
    ]
    assert _scales(token).tolist() == [torch.finfo(torch.float32).tiny] * 4


@each_device
@each_half
def test_ds_mla_leaves_nan_out_of_the_scale(dtype, device):
    kv_c = torch.linspace(-3, 2, 512).to(dtype)
    without = _ds_mla_token(kv_c, device)
    kv_c[[5, 130, 400]] = torch.tensor([float("nan")] * 3, dtype=dtype)
    token = _ds_mla_token(kv_c, device)
    without[[5, 130, 400]] = 0x7F
    assert torch.equal(token, without)


@each_device
@each_half
@pytest.mark.parametrize("infinity", [float("inf"), -float("inf")])
def test_ds_mla_of_infinity(infinity, dtype, device):
    """Divided by an infinite scale, numbers are zeros and infinity is NaN."""
    kv_c = torch.linspace(-3, 2, 512).to(dtype)
    kv_c[200] = infinity
    token = _ds_mla_token(kv_c, device)
    assert _scales(token).tolist()[1] == float("inf")
    codes = token[128:256].tolist()
    assert codes.pop(200 - 128) == 0x7F
    assert codes == [0x80 if x < 0 else 0 for x in kv_c[128:256].tolist() if abs(x) < 10]


# ---- Memory


@each_device
@each_dtype
@pytest.mark.parametrize("kind", ["auto", "fp8"])
def test_slices_of_a_packed_row(kind, dtype, device):
    arguments = mla.writer_arguments(MlaCase(dtype=dtype, kv_cache_dtype=kind), device)
    packed = torch.cat([arguments["kv_c"], arguments["k_pe"]], dim=1)
    arguments["kv_c"], arguments["k_pe"] = packed.split([48, 16], dim=1)
    mla.check_writer(arguments)


@each_device
@pytest.mark.parametrize("name", ["kv_c", "k_pe", "kv_cache"])
@pytest.mark.parametrize("kind", ["auto", "fp8", mla.DS_MLA])
@pytest.mark.parametrize("elements", [1, 2, 3, 4, 8])
def test_tensors_that_begin_at_any_element(elements, kind, name, device):
    arguments = mla.writer_arguments(replace(_DS_MLA, kv_cache_dtype=kind), device)
    arguments[name] = tensors.shifted(arguments[name], elements)
    mla.check_writer(arguments)


@each_device
@each_dtype
@pytest.mark.parametrize("kind", ["auto", "fp8", "fp8_e5m2"])
def test_rows_that_are_aligned_to_elements_alone(kind, dtype, device):
    arguments = mla.writer_arguments(
        MlaCase(dtype=dtype, kv_cache_dtype=kind, kv_lora_rank=33, pe_dim=17), device
    )
    for name in ("kv_c", "k_pe", "kv_cache"):
        arguments[name] = tensors.shifted(arguments[name], 1)
    mla.check_writer(arguments)


@each_device
@pytest.mark.parametrize("kind", ["auto", "fp8", mla.DS_MLA])
@pytest.mark.parametrize("padding", [1, 4, 16])
def test_a_cache_of_padded_tokens_and_blocks(padding, kind, device):
    arguments = mla.writer_arguments(replace(_DS_MLA, kv_cache_dtype=kind), device)
    dense = arguments["kv_cache"]
    blocks, tokens, entry = dense.shape
    wide = tensors.poisoned((blocks, tokens + 1, entry + padding), dense.dtype, device)
    arguments["kv_cache"] = wide[:, :tokens, :entry]
    tensors.bytes_of(arguments["kv_cache"]).copy_(tensors.bytes_of(dense))
    mla.check_writer(arguments)


@each_device
@pytest.mark.parametrize("kind", ["fp8", mla.DS_MLA])
def test_blocks_two_to_the_31_bytes_apart(kind, device):
    case = replace(_DS_MLA, kv_cache_dtype=kind, slots=(16, -1, 3), spare_tokens=0)
    arguments = mla.writer_arguments(case, device)
    entry = arguments["kv_cache"].shape[2]
    pitch = 2**31 + 16
    memory = torch.empty(pitch + 16 * entry, dtype=torch.uint8, device=device)
    arguments["kv_cache"] = memory.as_strided((2, 16, entry), (pitch, entry, 1))
    arguments["kv_cache"].zero_()
    dense = {**arguments, "kv_cache": torch.zeros(2, 16, entry, dtype=torch.uint8, device=device)}
    mla.check_writer(dense)
    stablekv.concat_and_cache_mla(**arguments)
    assert torch.equal(arguments["kv_cache"], dense["kv_cache"])


# ---- Slots


@each_device
@pytest.mark.parametrize("kind", ["auto", "fp8", mla.DS_MLA])
@pytest.mark.parametrize("slots", [(-1, -1), (-1, 7, -(2**63), -2, 8), (15, 16, 31, 32, 63)])
def test_negative_slots_are_padding(slots, kind, device):
    """NaN in the rows of padding shows when they are read."""
    arguments = mla.writer_arguments(replace(_DS_MLA, kv_cache_dtype=kind, slots=slots), device)
    for i, slot in enumerate(slots):
        if slot < 0:
            arguments["kv_c"][i] = arguments["k_pe"][i] = float("nan")
    mla.check_writer(arguments)


@each_device
@pytest.mark.parametrize("kind", ["auto", "fp8", mla.DS_MLA])
@pytest.mark.parametrize("spare_tokens", [0, 5])
def test_no_tokens_are_a_no_op(spare_tokens, kind, device):
    _check(replace(_DS_MLA, kv_cache_dtype=kind, slots=(), spare_tokens=spare_tokens), device)


@each_device
def test_the_bytes_are_where_the_layout_says(device):
    """Element by element, from the formulas of the documentation."""
    arguments = mla.writer_arguments(_DS_MLA, device)
    stablekv.concat_and_cache_mla(**arguments)
    flat = arguments["kv_cache"].cpu().view(-1)
    for token, slot in enumerate(_DS_MLA.slots):
        if slot < 0:
            continue
        block, offset = divmod(slot, 16)
        base = block * 16 * 656 + offset * 656
        want = reference_mla.ds_mla_token(
            arguments["kv_c"][token].cpu(), arguments["k_pe"][token].cpu()
        )
        assert torch.equal(flat[base : base + 656], want)
