"""gather_and_maybe_dequant_cache against the reference, to the last byte of dst."""

import pytest
import stablekv
import torch
from stablekv import layouts

from tests.support import gather, tensors
from tests.support.devices import each_device, on_cuda
from tests.support.gather import GatherCase

_KINDS = ("auto", "fp8", "fp8_e4m3", "fp8_e5m2")
each_dtype = pytest.mark.parametrize("dtype", layouts.ELEMENT_DTYPES, ids=layouts.dtype_name)
each_kind = pytest.mark.parametrize("kind", _KINDS)
each_fp8 = pytest.mark.parametrize("kind", ["fp8", "fp8_e5m2"])


@each_device
@each_dtype
@each_kind
@pytest.mark.parametrize("seq_starts", [None, (3, 40, 0, 21)])
@pytest.mark.parametrize("entry_size", [1, 7, 64, 320, 512, 576])
def test_entries_of_any_size(entry_size, seq_starts, kind, dtype, device):
    case = GatherCase(
        entry_size=entry_size, seq_starts=seq_starts, kv_cache_dtype=kind, dtype=dtype
    )
    gather.check_dequant(gather.dequant_arguments(case, device))


@each_device
@each_dtype
@each_fp8
@pytest.mark.parametrize(
    "scale", [1.0, 0.0371, 3e-3, 0.0, -0.0, -0.5, 1e-45, 1e-38, 3e38, float("inf"), float("nan")]
)
@pytest.mark.parametrize("entry_size", [256, 257])  # of vectors, and not
def test_every_code_times_every_kind_of_scale(entry_size, scale, kind, dtype, device):
    """NaN, infinities, zeros of both signs, subnormals; products that overflow or vanish."""
    case = GatherCase(
        rows=(2,),
        seq_starts=None,
        block_size=2,
        entry_size=entry_size,
        dtype=dtype,
        kv_cache_dtype=kind,
        scale=scale,
    )
    arguments = gather.dequant_arguments(case, device)
    codes = torch.arange(entry_size, device=device) % 256
    arguments["src_cache"][:] = codes.to(torch.uint8)
    gather.check_dequant(arguments)


@each_device
@each_dtype
@each_kind
def test_the_float8_dtype_is_as_good_as_bytes(kind, dtype, device):
    arguments = gather.dequant_arguments(GatherCase(kv_cache_dtype=kind, dtype=dtype), device)
    if kind != "auto":
        arguments["src_cache"] = arguments["src_cache"].view(layouts.FP8_FORMATS[kind])
    gather.check_dequant(arguments)


@each_device
@each_kind
@pytest.mark.parametrize("num_tokens", [0, 1, 4, 5, 6, 20, 31, 32, 35])
def test_num_tokens_limits_the_rows(num_tokens, kind, device):
    arguments = gather.dequant_arguments(GatherCase(kv_cache_dtype=kind), device)
    arguments["num_tokens"] = num_tokens
    gather.check_dequant(arguments)


@each_device
@each_kind
def test_num_tokens_may_be_a_tensor(kind, device):
    arguments = gather.dequant_arguments(GatherCase(kv_cache_dtype=kind), device)
    arguments["num_tokens"] = torch.tensor(arguments["num_tokens"])
    stablekv.gather_and_maybe_dequant_cache(**arguments)
    got = arguments["dst"].clone()
    arguments["num_tokens"] = int(arguments["num_tokens"])
    gather.check_dequant(arguments)
    assert torch.equal(tensors.bytes_of(got), tensors.bytes_of(arguments["dst"]))


@each_device
@each_kind
@pytest.mark.parametrize("rows", [(0,), (0, 0), (1,), (0, 3, 0, 0, 70, 0)])
@pytest.mark.parametrize("block_size", [1, 16, 64])
def test_sequences_of_any_number_of_rows(block_size, rows, kind, device):
    case = GatherCase(rows=rows, seq_starts=None, block_size=block_size, kv_cache_dtype=kind)
    gather.check_dequant(gather.dequant_arguments(case, device))


@each_device
@each_kind
def test_rows_before_the_first_sequence_are_left_as_they_are(kind, device):
    case = GatherCase(first_row=4, kv_cache_dtype=kind)
    gather.check_dequant(gather.dequant_arguments(case, device))


@each_device
@each_kind
def test_no_sequences_are_a_no_op(kind, device):
    case = GatherCase(rows=(), seq_starts=(), kv_cache_dtype=kind)
    gather.check_dequant(gather.dequant_arguments(case, device))


@each_device
@each_kind
@each_dtype
@pytest.mark.parametrize("name, dim", [("src_cache", 0), ("src_cache", 1), ("dst", 0)])
def test_gaps(name, dim, dtype, kind, device):
    case = GatherCase(entry_size=64, kv_cache_dtype=kind, dtype=dtype)
    arguments = gather.dequant_arguments(case, device)
    arguments[name] = tensors.with_gaps(arguments[name], dim)
    gather.check_dequant(arguments)


@each_device
@each_kind
@each_dtype
@pytest.mark.parametrize("shift", [1, 2, 4, 8])
@pytest.mark.parametrize("name", ["src_cache", "dst"])
def test_tensors_that_begin_at_any_element(name, shift, dtype, kind, device):
    case = GatherCase(entry_size=64, kv_cache_dtype=kind, dtype=dtype)
    arguments = gather.dequant_arguments(case, device)
    arguments[name] = tensors.shifted(arguments[name], shift)
    gather.check_dequant(arguments)


@each_device
def test_cu_seq_lens_say_which_sequence_a_row_belongs_to(device):
    """token_to_seq says the same of good arguments; a later upstream does not read it."""
    arguments = gather.dequant_arguments(GatherCase(), device)
    arguments["token_to_seq"].fill_(1)
    gather.check_dequant(arguments)


@each_device
def test_token_to_seq_of_rows_of_no_sequence_does_not_matter(device):
    arguments = gather.dequant_arguments(GatherCase(first_row=2), device)
    arguments["token_to_seq"][:2] = 10**6
    arguments["token_to_seq"][-3:] = -(2**31)
    gather.check_dequant(arguments)


@each_device
@each_dtype
def test_the_scale_of_a_plain_cache_is_not_read(dtype, device):
    arguments = gather.dequant_arguments(GatherCase(dtype=dtype, scale=float("nan")), device)
    gather.check_dequant(arguments)


@each_device
@each_fp8
def test_gives_back_what_reshape_and_cache_stored(kind, device):
    """Keys of 16 elements and one head are one chunk, so a key cache is a cache of entries too."""
    keys = torch.randn(40, 1, 16, device=device)
    cache = torch.zeros(4, 1, 1, 16, 16, dtype=torch.uint8, device=device)
    scale = torch.tensor(0.05, device=device)
    slots = torch.randperm(64, device=device)[:40]
    stablekv.reshape_and_cache(
        keys, keys, cache, torch.zeros_like(cache).view(4, 1, 16, 16), slots, kind, scale, scale
    )
    dst = torch.empty(64, 16, device=device)
    table = torch.arange(4, dtype=torch.int32, device=device)[None]
    stablekv.gather_and_maybe_dequant_cache(
        cache.view(4, 16, 16),
        dst,
        table,
        torch.tensor([0, 64], dtype=torch.int32, device=device),
        torch.zeros(64, dtype=torch.int32, device=device),
        64,
        kind,
        scale,
    )
    step = 2.0**-3 if kind == "fp8" else 2.0**-2  # of the mantissa
    torch.testing.assert_close(dst[slots], keys[:, 0], rtol=step / 2, atol=1e-3)


@on_cuda
@each_kind
def test_cuda_skips_rows_that_come_from_nowhere(kind):
    case = GatherCase(kv_cache_dtype=kind)
    arguments = gather.dequant_arguments(case, "cuda")
    stablekv.gather_and_maybe_dequant_cache(**arguments)
    want = arguments["dst"].clone()
    tensors.bytes_of(want)[5 + 8 : 5 + 16] = -1  # the second block of the third sequence
    tensors.bytes_of(want)[24:] = -1  # the fourth sequence
    arguments["dst"] = tensors.poisoned(tuple(want.shape), torch.float32, "cuda")
    arguments["block_table"][2, 1] = -1
    arguments["seq_starts"][3] = 2**31 - 10
    stablekv.gather_and_maybe_dequant_cache(**arguments)
    assert torch.equal(tensors.bytes_of(arguments["dst"]), tensors.bytes_of(want))
