"""concat_mla_q against the reference, to the last byte of the output."""

import pytest
import stablekv
import torch
from stablekv import layouts

from tests.support import mla, tensors
from tests.support.devices import each_device
from tests.support.mla import MlaCase

_HALVES = (torch.float16, torch.bfloat16)
each_half = pytest.mark.parametrize("dtype", _HALVES, ids=layouts.dtype_name)


def _case(num_tokens=5, num_heads=3, nope_dim=512, dtype=torch.bfloat16):
    return MlaCase(
        slots=tuple(range(num_tokens)),
        num_heads=num_heads,
        kv_lora_rank=nope_dim,
        pe_dim=64,
        dtype=dtype,
    )


@each_device
@each_half
@pytest.mark.parametrize("num_tokens, num_heads", [(1, 1), (1, 128), (5, 3), (16, 128), (64, 2)])
def test_tokens_and_heads(num_tokens, num_heads, dtype, device):
    case = _case(num_tokens=num_tokens, num_heads=num_heads, dtype=dtype)
    mla.check_concat(mla.concat_arguments(case, device))


@each_device
@pytest.mark.parametrize("nope_dim", [1024, 1536, 4096])
def test_any_multiple_of_512(nope_dim, device):
    mla.check_concat(mla.concat_arguments(_case(nope_dim=nope_dim), device))


@each_device
@each_half
def test_every_16_bit_value_is_kept(dtype, device):
    """All NaN are copied as they are."""
    codes = torch.arange(-(2**15), 2**15, dtype=torch.int16, device=device).view(dtype)
    arguments = mla.concat_arguments(_case(num_tokens=128, num_heads=8, dtype=dtype), device)
    arguments["q_pe"] = codes.view(128, 8, 64)
    arguments["ql_nope"] = codes.repeat(8).view(128, 8, 512)
    mla.check_concat(arguments)
    got = tensors.bytes_of(arguments["q_out"])[..., 512:].flatten()
    assert torch.equal(got, torch.arange(-(2**15), 2**15, dtype=torch.int16, device=device))


@each_device
@pytest.mark.parametrize("num_tokens, num_heads", [(0, 3), (5, 0), (0, 0)])
def test_nothing_to_copy(num_tokens, num_heads, device):
    case = _case(num_tokens=num_tokens, num_heads=num_heads)
    mla.check_concat(mla.concat_arguments(case, device))


@each_device
@each_half
def test_strides_of_a_batched_product_and_of_packed_queries(dtype, device):
    """Heads outermost in ql_nope, q_pe a slice of [nope | rope], q_out a part of more."""
    arguments = mla.concat_arguments(_case(dtype=dtype), device)
    arguments["ql_nope"] = arguments["ql_nope"].transpose(0, 1).contiguous().transpose(0, 1)
    packed = torch.cat([arguments["ql_nope"][..., :128], arguments["q_pe"]], dim=2)
    arguments["q_pe"] = packed[..., 128:]
    arguments["q_out"] = tensors.poisoned((5, 4, 640), dtype, device)[:, 1:, :576]
    assert not any(arguments[n].is_contiguous() for n in ("ql_nope", "q_pe", "q_out"))
    mla.check_concat(arguments)


@each_device
@pytest.mark.parametrize("name", ["ql_nope", "q_pe", "q_out"])
@pytest.mark.parametrize("elements", [1, 4, 8])
def test_tensors_that_begin_at_any_element(elements, name, device):
    arguments = mla.concat_arguments(_case(), device)
    arguments[name] = tensors.shifted(arguments[name], elements)
    mla.check_concat(arguments)


@each_device
@pytest.mark.parametrize("dim", [0, 1])
@pytest.mark.parametrize("name", ["ql_nope", "q_pe", "q_out"])
@pytest.mark.parametrize("padding", [1, 8])
def test_gaps(padding, name, dim, device):
    arguments = mla.concat_arguments(_case(), device)
    dense = arguments[name]
    shape = [*dense.shape[:2], dense.shape[2] + padding]
    shape[dim] += 1
    wide = tensors.poisoned(tuple(shape), dense.dtype, device)
    arguments[name] = wide[:5, :3, : dense.shape[2]]
    tensors.bytes_of(arguments[name]).copy_(tensors.bytes_of(dense))
    mla.check_concat(arguments)


@each_device
def test_inputs_may_be_expanded(device):
    arguments = mla.concat_arguments(_case(), device)
    arguments["q_pe"] = arguments["q_pe"][:, :1].expand(5, 3, 64)
    arguments["ql_nope"] = arguments["ql_nope"][:1].expand(5, 3, 512)
    mla.check_concat(arguments)


@each_device
def test_tokens_two_to_the_31_bytes_apart(device):
    arguments = mla.concat_arguments(_case(num_tokens=2), device)
    dense = {n: v.clone() for n, v in arguments.items()}
    mla.check_concat(dense)
    pitch = 2**30 + 64  # elements
    memory = torch.empty(pitch + 3 * 576, dtype=torch.bfloat16, device=device)
    arguments["q_out"] = memory.as_strided((2, 3, 576), (pitch, 576, 1))
    stablekv.concat_mla_q(**arguments)
    assert torch.equal(tensors.bytes_of(arguments["q_out"]), tensors.bytes_of(dense["q_out"]))
