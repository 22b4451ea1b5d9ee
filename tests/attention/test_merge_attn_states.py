"""merge_attn_states against the reference in float64, and to the bit where nothing is computed."""

import math

import pytest
import stablekv
import torch
from stablekv import layouts, reference

from tests.support import merge, tensors
from tests.support.devices import each_device
from tests.support.merge import MergeCase

each_dtype = pytest.mark.parametrize("dtype", layouts.ELEMENT_DTYPES, ids=layouts.dtype_name)
each_output = pytest.mark.parametrize("output_scale", [None, 0.05])

_STATES = ("prefix_output", "suffix_output", "output")
_LSES = ("prefix_lse", "suffix_lse", "output_lse")


@each_device
@each_dtype
@each_output
@pytest.mark.parametrize("prefix_tokens", [None, 0, 1, 7, 13])
@pytest.mark.parametrize("with_lse", [True, False])
def test_agrees_with_the_reference(with_lse, prefix_tokens, output_scale, dtype, device):
    case = MergeCase(
        dtype=dtype,
        prefix_tokens=prefix_tokens,
        with_lse=with_lse,
        output_scale=output_scale,
    )
    merge.check(merge.arguments_of(case, device))


@each_device
@each_dtype
@each_output
@pytest.mark.parametrize("head_size", [1, 7, 8, 32, 48, 96, 128, 250, 256, 576])
def test_heads_of_any_size(head_size, output_scale, dtype, device):
    case = MergeCase(head_size=head_size, dtype=dtype, output_scale=output_scale, prefix_tokens=9)
    merge.check(merge.arguments_of(case, device))


@each_device
@pytest.mark.parametrize("num_tokens, num_heads", [(1, 1), (256, 4), (37, 64), (2, 1)])
def test_any_number_of_tokens_and_heads(num_tokens, num_heads, device):
    case = MergeCase(num_tokens=num_tokens, num_heads=num_heads, head_size=16)
    merge.check(merge.arguments_of(case, device))


@each_device
@pytest.mark.parametrize("sizes", [{"num_tokens": 0}, {"num_heads": 0}, {"head_size": 0}])
@each_output
def test_nothing_to_merge(output_scale, sizes, device):
    case = MergeCase(**{"num_tokens": 4, **sizes}, output_scale=output_scale)
    merge.check(merge.arguments_of(case, device))


@each_device
@each_dtype
def test_what_the_prefix_holds_past_its_tokens_does_not_matter(dtype, device):
    case = MergeCase(dtype=dtype, prefix_tokens=5)
    arguments = merge.arguments_of(case, device)
    arguments["prefix_output"][5:] = math.nan
    arguments["prefix_lse"][:, 5:] = math.nan
    merge.check(arguments)
    assert not arguments["output"].isnan().any()


@each_device
@each_dtype
@each_output
def test_bits_that_are_taken_as_they_are(output_scale, dtype, device):
    """All sorts of NaN, -0 and subnormals, from the suffix alone and from the prefix of no keys."""
    case = MergeCase(dtype=dtype, prefix_tokens=6, output_scale=output_scale)
    arguments = merge.arguments_of(case, device)
    for name, lse in (("prefix_output", "prefix_lse"), ("suffix_output", "suffix_lse")):
        states = arguments[name]
        noise = torch.randint(0, 256, (states.nbytes,), dtype=torch.uint8, device=device)
        states.copy_(noise.view(dtype).view(states.shape))
        arguments[lse].fill_(math.inf)
    merge.check(arguments)


@each_device
@each_dtype
@each_output
@pytest.mark.parametrize("special", [math.inf, -math.inf, math.nan])
def test_a_weight_of_zero_hides_nothing(special, output_scale, dtype, device):
    arguments = merge.arguments_of(MergeCase(dtype=dtype, output_scale=output_scale), device)
    arguments["prefix_output"][2, :, 3] = special
    arguments["prefix_lse"][:, 2] = -math.inf
    arguments["suffix_lse"][:, 2] = 1.0
    merge.check(arguments)
    stored = arguments["output"].float() if output_scale else arguments["output"]
    assert stored[2, :, 3].isnan().all()


@each_device
@each_dtype
def test_one_sum_has_one_bit_pattern_of_nan(dtype, device):
    arguments = merge.arguments_of(MergeCase(dtype=dtype), device)
    arguments["prefix_lse"].fill_(1.0)
    arguments["suffix_lse"].fill_(2.0)
    arguments["prefix_output"].fill_(math.inf)
    arguments["suffix_output"].fill_(-math.inf)
    merge.check(arguments)
    bits = tensors.bytes_of(arguments["output"])
    assert (bits == torch.iinfo(bits.dtype).max).all()


@each_device
@each_dtype
def test_equal_lses_give_the_mean(dtype, device):
    arguments = merge.arguments_of(MergeCase(dtype=dtype), device)
    arguments["prefix_output"].fill_(1.0)
    arguments["suffix_output"].fill_(3.0)
    arguments["prefix_lse"].fill_(5.0)
    arguments["suffix_lse"].fill_(5.0)
    stablekv.merge_attn_states(**arguments)
    assert (arguments["output"] == 2.0).all()
    want = torch.full_like(arguments["output_lse"], 5.0 + math.log(2.0))
    torch.testing.assert_close(arguments["output_lse"], want, rtol=1e-6, atol=0)


@each_device
def test_a_nan_lse_makes_its_rows_nan(device):
    arguments = merge.arguments_of(MergeCase(), device)
    arguments["prefix_lse"].fill_(1.0)
    arguments["suffix_lse"].fill_(1.0)
    arguments["prefix_lse"][1, 4] = math.nan
    stablekv.merge_attn_states(**arguments)
    assert arguments["output"][4, 1].isnan().all()
    assert arguments["output"].isnan().sum() == 32
    assert arguments["output_lse"].isnan().sum() == 1


@each_device
@each_dtype
@pytest.mark.parametrize("scale", [1.0, 3e-3, 100.0, 1e-30, math.inf, 0.0, math.nan])
def test_fp8_of_every_scale(scale, dtype, device):
    """Subnormals, saturation, and a scale of zero, whose inverse is infinite."""
    merge.check(merge.arguments_of(MergeCase(dtype=dtype, output_scale=scale), device))


@each_device
@each_dtype
def test_fp8_is_of_the_product_with_the_inverse_of_the_scale(dtype, device):
    """The product is half-way between two fp8, and goes to another one than the quotient."""
    case = MergeCase(dtype=dtype, prefix_tokens=0, output_scale=0.3)
    arguments = merge.arguments_of(case, device)
    arguments["suffix_output"].fill_(0.00439453125)
    arguments["suffix_output"][1::2] *= -1
    merge.check(arguments)
    value, scale = arguments["suffix_output"].float().cpu(), torch.tensor(0.3)
    quotient = reference.encode_fp8(value, scale, torch.float8_e4m3fn)
    assert (arguments["output"].view(torch.uint8).cpu() != quotient).all()


@each_device
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=layouts.dtype_name)
def test_a_sum_is_not_rounded_to_16_bits_before_fp8(dtype, device):
    """Half-way between two fp8 but for a little that a 16-bit element cannot hold."""
    arguments = merge.arguments_of(MergeCase(dtype=dtype, output_scale=1.0), device)
    arguments["prefix_lse"].fill_(0.0)
    arguments["suffix_lse"].fill_(0.0)
    arguments["prefix_output"].fill_(2.125)  # 1.0625 of the sum, where fp8 has 1.0 and 1.125
    arguments["suffix_output"].fill_(2.0**-12)
    stablekv.merge_attn_states(**arguments)
    assert (arguments["output"].float() == 1.125).all()
    arguments["suffix_output"].fill_(-(2.0**-12))
    stablekv.merge_attn_states(**arguments)
    assert (arguments["output"].float() == 1.0).all()


@each_device
@each_dtype
@each_output
@pytest.mark.parametrize("dim", [0, 1])
def test_states_with_gaps(dim, output_scale, dtype, device):
    """Each of the three tensors with strides of its own."""
    for name in _STATES:
        arguments = merge.arguments_of(MergeCase(dtype=dtype, output_scale=output_scale), device)
        arguments[name] = tensors.with_gaps(arguments[name], dim)
        merge.check(arguments)


@each_device
@pytest.mark.parametrize("dim", [0, 1])
@pytest.mark.parametrize("name", _LSES)
def test_lses_with_gaps(name, dim, device):
    arguments = merge.arguments_of(MergeCase(prefix_tokens=9), device)
    arguments[name] = tensors.with_gaps(arguments[name], dim)
    merge.check(arguments)


@each_device
@pytest.mark.parametrize("name", _LSES)
def test_lses_with_tokens_first_in_memory(name, device):
    arguments = merge.arguments_of(MergeCase(prefix_tokens=9), device)
    arguments[name] = arguments[name].T.contiguous().T
    merge.check(arguments)


@each_device
@pytest.mark.parametrize("name", _STATES)
def test_states_with_heads_first_in_memory(name, device):
    arguments = merge.arguments_of(MergeCase(), device)
    arguments[name] = arguments[name].transpose(0, 1).contiguous().transpose(0, 1)
    merge.check(arguments)


@each_device
@each_dtype
@each_output
@pytest.mark.parametrize("shift", [1, 2, 4, 8])
@pytest.mark.parametrize("name", _STATES)
def test_states_that_begin_at_any_element(name, shift, output_scale, dtype, device):
    case = MergeCase(dtype=dtype, output_scale=output_scale, prefix_tokens=9)
    arguments = merge.arguments_of(case, device)
    arguments[name] = tensors.shifted(arguments[name], shift)
    merge.check(arguments)


@each_device
def test_merging_parts_is_attention_over_the_whole(device):
    """Softmax attention over 20 keys from 12 and 8 of them."""
    num_tokens, num_heads, head_size = 5, 2, 16
    query = torch.randn(num_tokens, num_heads, head_size, device=device)
    keys, values = torch.randn(2, 20, num_heads, head_size, device=device)

    def attend(part):
        logits = torch.einsum("thd,khd->htk", query, keys[part])
        out = torch.einsum("htk,khd->thd", logits.softmax(-1), values[part])
        return out, logits.logsumexp(-1)

    output = torch.empty_like(query)
    output_lse = torch.empty(num_heads, num_tokens, device=device)
    prefix, suffix = attend(slice(0, 12)), attend(slice(12, 20))
    stablekv.merge_attn_states(output, output_lse, *prefix, *suffix)
    want, want_lse = attend(slice(0, 20))
    torch.testing.assert_close(output, want, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(output_lse, want_lse, rtol=1e-5, atol=1e-5)
