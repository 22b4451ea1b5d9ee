"""concat_and_cache_mla_rope_fused against the reference, to the last byte of all that it writes."""

import pytest
import stablekv
import torch
from stablekv import layouts, reference_mla

from tests.support import mla, tensors
from tests.support.devices import each_device
from tests.support.mla import MlaCase

_HALVES = (torch.float16, torch.bfloat16)
_NAN_BITS = {torch.float32: 0x7FFFFFFF, torch.float16: 0x7FFF, torch.bfloat16: 0x7FFF}
each_dtype = pytest.mark.parametrize("dtype", layouts.ELEMENT_DTYPES, ids=layouts.dtype_name)
each_half = pytest.mark.parametrize("dtype", _HALVES, ids=layouts.dtype_name)
each_style = pytest.mark.parametrize("is_neox", [True, False], ids=["neox", "interleaved"])


def _check(case, device):
    mla.check_fused(mla.fused_arguments(case, device))


@each_device
@each_dtype
@each_style
@pytest.mark.parametrize("kind", ["auto", "fp8", "fp8_e5m2"])
@pytest.mark.parametrize("rank, pe_dim", [(512, 64), (64, 128), (33, 6), (1, 2), (16, 30)])
def test_ranks_and_sizes(rank, pe_dim, kind, is_neox, dtype, device):
    _check(
        MlaCase(
            kv_lora_rank=rank,
            pe_dim=pe_dim,
            dtype=dtype,
            kv_cache_dtype=kind,
            is_neox=is_neox,
        ),
        device,
    )


@each_device
@each_style
@pytest.mark.parametrize("num_heads", [0, 1, 16, 128])
@pytest.mark.parametrize("block_size", [1, 16, 64])
def test_heads_and_blocks(block_size, num_heads, is_neox, device):
    _check(
        MlaCase(
            num_heads=num_heads,
            pe_dim=64,
            block_size=block_size,
            num_blocks=64,
            dtype=torch.bfloat16,
            is_neox=is_neox,
        ),
        device,
    )


@each_device
@each_dtype
@each_style
def test_rows_of_more_pairs_than_threads_share(is_neox, dtype, device):
    _check(MlaCase(pe_dim=600, kv_lora_rank=40, dtype=dtype, is_neox=is_neox), device)


@each_device
@each_half
@each_style
def test_every_16_bit_value_is_rotated(is_neox, dtype, device):
    codes = torch.arange(-(2**15), 2**15, dtype=torch.int16).view(dtype)
    case = MlaCase(slots=tuple(range(64)), num_heads=16, pe_dim=64, dtype=dtype, is_neox=is_neox)
    arguments = mla.fused_arguments(case, device)
    order = torch.randperm(2**16, generator=torch.Generator().manual_seed(1))
    arguments["q_pe"] = codes[order].view(64, 16, 64).to(device)
    mla.check_fused(arguments)


# ---- What is computed


def _rotate(x, cos, sin, is_neox):
    """The rotation of complex numbers, in float64: neither pairs nor formula of the reference."""
    half = x.shape[-1] // 2
    pairs = x.double().unflatten(-1, (2, half)).mT if is_neox else x.double().unflatten(-1, (-1, 2))
    numbers = torch.view_as_complex(pairs.contiguous())
    turned = torch.view_as_real(numbers * torch.complex(cos.double(), sin.double()))
    return turned.mT.flatten(-2) if is_neox else turned.flatten(-2)


@each_device
@each_dtype
@each_style
def test_a_rotation_by_an_angle(is_neox, dtype, device):
    case = MlaCase(slots=(3, 9, 20), spare_tokens=0, pe_dim=64, dtype=dtype, is_neox=is_neox)
    arguments = mla.fused_arguments(case, device)
    for name in ("q_pe", "k_pe", "kv_c"):
        arguments[name].copy_(torch.randn(arguments[name].shape))
    q_pe, k_pe = arguments["q_pe"].cpu().clone(), arguments["k_pe"].cpu().clone()
    cos, sin = arguments["cos_sin_cache"].cpu()[arguments["positions"].cpu()].chunk(2, dim=1)
    mla.check_fused(arguments)
    steps = {"rtol": 3 * torch.finfo(dtype).eps, "atol": 6 * torch.finfo(dtype).eps}
    want = _rotate(q_pe, cos[:, None], sin[:, None], is_neox)
    torch.testing.assert_close(arguments["q_pe"].cpu().double(), want, **steps)
    want = _rotate(k_pe, cos, sin, is_neox)
    torch.testing.assert_close(arguments["k_pe"].cpu().double(), want, **steps)
    for token, slot in enumerate(case.slots):
        entry = arguments["kv_cache"][slot // 16, slot % 16]
        assert torch.equal(entry[:48], arguments["kv_c"][token])
        assert torch.equal(entry[48:], arguments["k_pe"][token])


@each_half
def test_every_operator_rounds(dtype):
    """The reference is not float32 arithmetic rounded at the end: that gives other bits."""
    x = torch.randn(40, 64, generator=torch.Generator().manual_seed(2)).to(dtype)
    angles = torch.rand(32, generator=torch.Generator().manual_seed(3)) * 6
    cos, sin = angles.cos().to(dtype), angles.sin().to(dtype)
    each = reference_mla.rotated(x, cos, sin, True)
    once = reference_mla.rotated(x.float(), cos.float(), sin.float(), True).to(dtype)
    assert 0.05 < (each != once).double().mean() < 0.95


@each_device
def test_float32_has_no_fused_multiply_add(device):
    """x * cos - y * sin of equal products is 0; a fused one is the product's rounding error."""
    case = MlaCase(slots=(0,), spare_tokens=0, num_heads=1)
    arguments = mla.fused_arguments(case, device)
    value = torch.tensor(1.0 + 2.0**-23)
    arguments["q_pe"].fill_(value)
    arguments["cos_sin_cache"].fill_(value)
    mla.check_fused(arguments)
    assert not arguments["q_pe"][0, 0, :8].any()


@each_device
@each_dtype
@each_style
def test_a_nan_comes_out_the_same_everywhere(is_neox, dtype, device):
    case = MlaCase(slots=(0,), spare_tokens=0, num_heads=1, dtype=dtype, is_neox=is_neox)
    arguments = mla.fused_arguments(case, device)
    arguments["k_pe"].fill_(-float("nan"))
    arguments["q_pe"].fill_(float("inf"))  # inf * cos - inf * sin
    arguments["cos_sin_cache"].fill_(0.5)
    mla.check_fused(arguments)
    assert set(tensors.bytes_of(arguments["k_pe"]).flatten().tolist()) == {_NAN_BITS[dtype]}
    assert int(tensors.bytes_of(arguments["q_pe"])[0, 0, 0]) == _NAN_BITS[dtype]


# ---- Padding


@each_device
@each_dtype
def test_padding_is_not_rotated(dtype, device):
    """Nor is a token past the last slot; their positions may be anything."""
    case = MlaCase(slots=(4, -1, 8, -(2**63), 2), spare_tokens=3, dtype=dtype)
    arguments = mla.fused_arguments(case, device)
    before = {n: tensors.bytes_of(arguments[n]).clone() for n in ("q_pe", "k_pe")}
    arguments["positions"][[1, 3, 5, 6, 7]] = torch.tensor(
        [-1, 2**62, -(2**63), 50, 10**9], device=device
    )
    mla.check_fused(arguments)
    for name, old in before.items():
        same = (tensors.bytes_of(arguments[name]) == old).flatten(1).all(dim=1).tolist()
        assert same[1] and same[3] and all(same[5:])
        assert not same[0]


@each_device
@pytest.mark.parametrize("slots", [(), (-1, -1, -1)])
def test_nothing_to_do(slots, device):
    _check(MlaCase(slots=slots, spare_tokens=4), device)


# ---- Memory


@each_device
@each_dtype
@each_style
@pytest.mark.parametrize("kind", ["auto", "fp8"])
def test_slices_of_packed_rows(kind, is_neox, dtype, device):
    """The RoPE parts of [nope | rope] queries, and one row of kv_c and k_pe."""
    case = MlaCase(dtype=dtype, kv_cache_dtype=kind, is_neox=is_neox)
    arguments = mla.fused_arguments(case, device)
    tokens, heads, pe_dim = arguments["q_pe"].shape
    q = tensors.poisoned((tokens, heads, 32 + pe_dim), dtype, device)
    q[..., 32:] = arguments["q_pe"]
    arguments["q_pe"] = q[..., 32:]
    packed = torch.cat([arguments["kv_c"], arguments["k_pe"]], dim=1)
    arguments["kv_c"], arguments["k_pe"] = packed.split([48, pe_dim], dim=1)
    mla.check_fused(arguments)


@each_device
@each_dtype
@each_style
@pytest.mark.parametrize("name", ["q_pe", "k_pe", "kv_c", "cos_sin_cache", "kv_cache"])
def test_tensors_that_begin_at_any_element(name, is_neox, dtype, device):
    arguments = mla.fused_arguments(MlaCase(dtype=dtype, is_neox=is_neox), device)
    arguments[name] = tensors.shifted(arguments[name], 1)
    mla.check_fused(arguments)


@each_device
@pytest.mark.parametrize("padding", [1, 4])
@pytest.mark.parametrize("kind", ["auto", "fp8"])
def test_rows_with_gaps(kind, padding, device):
    case = MlaCase(dtype=torch.bfloat16, kv_cache_dtype=kind)
    arguments = mla.fused_arguments(case, device)
    for name in ("q_pe", "k_pe", "kv_c", "cos_sin_cache", "kv_cache"):
        dense = arguments[name]
        shape = (*dense.shape[:-1], dense.shape[-1] + padding)
        arguments[name] = tensors.poisoned(shape, dense.dtype, device)[..., : dense.shape[-1]]
        tensors.bytes_of(arguments[name]).copy_(tensors.bytes_of(dense))
    mla.check_fused(arguments)


@each_device
def test_blocks_two_to_the_31_bytes_apart(device):
    case = MlaCase(slots=(16, 3), spare_tokens=0, kv_cache_dtype="fp8")
    arguments = mla.fused_arguments(case, device)
    dense = {n: v.clone() if isinstance(v, torch.Tensor) else v for n, v in arguments.items()}
    dense["kv_cache"] = torch.zeros(2, 16, 64, dtype=torch.uint8, device=device)
    pitch = 2**31 + 16
    memory = torch.empty(pitch + 16 * 64, dtype=torch.uint8, device=device)
    arguments["kv_cache"] = memory.as_strided((2, 16, 64), (pitch, 64, 1))
    arguments["kv_cache"].zero_()
    mla.check_fused(dense)
    stablekv.concat_and_cache_mla_rope_fused(**arguments)
    for name in ("kv_cache", "q_pe", "k_pe"):
        assert torch.equal(tensors.bytes_of(arguments[name]), tensors.bytes_of(dense[name]))


@each_device
@pytest.mark.parametrize("kind", ["auto", "fp8"])
def test_it_writes_what_the_two_steps_write(kind, device):
    """Rotating first and then concat_and_cache_mla gives the same cache."""
    arguments = mla.fused_arguments(MlaCase(dtype=torch.float16, kv_cache_dtype=kind), device)
    other = arguments["kv_cache"].clone()
    mla.check_fused(arguments)
    stablekv.concat_and_cache_mla(
        arguments["kv_c"],
        arguments["k_pe"],
        other,
        arguments["slot_mapping"],
        kind,
        arguments["kv_cache_scale"],
    )
    assert torch.equal(tensors.bytes_of(other), tensors.bytes_of(arguments["kv_cache"]))
