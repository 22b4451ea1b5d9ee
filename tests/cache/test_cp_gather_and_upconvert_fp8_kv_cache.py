"""cp_gather_and_upconvert_fp8_kv_cache against the reference, to the last byte of dst."""

import pytest
import stablekv
import torch

from tests.support import gather, tensors
from tests.support.devices import each_device, on_cuda
from tests.support.gather import GatherCase

# Every row of dst belongs to a sequence, so that dst ends with the last one.
_CASE = GatherCase(seq_starts=None, spare_rows=0)


@each_device
@pytest.mark.parametrize("block_size", [1, 3, 16, 64])
@pytest.mark.parametrize(
    "rows", [(1,), (64,), (128,), (30, 1, 45), (0, 5, 0, 0, 9, 0), (16,) * 4, (256, 128, 384)]
)
def test_sequences_of_any_number_of_rows(rows, block_size, device):
    case = GatherCase(rows=rows, seq_starts=None, spare_rows=0, block_size=block_size)
    gather.check_upconvert(gather.upconvert_arguments(case, device))


@each_device
def test_every_code_times_every_kind_of_scale(device):
    """NaN and infinite scales, zeros of both signs, subnormal and huge ones."""
    scales = [1.0, 3e-3, 0.0371, 0.0, -0.0, -2.0, 1e-45, 1e-38, 3e38, torch.inf, torch.nan, 2e36]
    case = GatherCase(rows=(len(scales),), seq_starts=None, spare_rows=0, block_size=16)
    arguments = gather.upconvert_arguments(case, device)
    block = arguments["src_cache"][int(arguments["block_table"][0, 0])]
    block[:, :512] = (torch.arange(512, device=device) % 256).to(torch.uint8)
    for offset, scale in enumerate(scales):
        four = torch.tensor([scale, 1.0, scale, -scale], device=device)
        block[offset, 512:528] = four.view(torch.uint8)
    gather.check_upconvert(arguments)


@each_device
def test_each_tile_has_its_scale(device):
    arguments = gather.upconvert_arguments(_CASE, device)
    one = torch.full((512,), 0x38, dtype=torch.uint8, device=device)  # e4m3 of 1
    scales = torch.tensor([1.0, 2.0, 3.0, 4.0], device=device)
    arguments["src_cache"][:, :, :512] = one
    arguments["src_cache"][:, :, 512:528] = scales.view(torch.uint8)
    gather.check_upconvert(arguments)
    want = scales.repeat_interleave(128).bfloat16()
    assert torch.equal(arguments["dst"][:, :512], want.expand(len(arguments["dst"]), 512))


@each_device
def test_rope_elements_are_copied_bit_for_bit(device):
    """All 65536 of them."""
    case = GatherCase(rows=(1024,), seq_starts=None, spare_rows=0, block_size=64)
    arguments = gather.upconvert_arguments(case, device)
    blocks = arguments["block_table"][0, :16].long()
    elements = torch.arange(-(2**15), 2**15, dtype=torch.int16, device=device)
    arguments["src_cache"][blocks, :, 528:] = elements.view(16, 64, 64).view(torch.uint8)
    gather.check_upconvert(arguments)
    got = arguments["dst"][:, 512:].contiguous().view(torch.int16)
    assert torch.equal(got.flatten(), elements)


@each_device
def test_the_float8_dtype_is_as_good_as_bytes(device):
    arguments = gather.upconvert_arguments(_CASE, device)
    arguments["src_cache"] = arguments["src_cache"].view(torch.float8_e4m3fn)
    gather.check_upconvert(arguments)


@each_device
def test_every_row_past_the_last_start_is_written(device):
    """The table has blocks for them; seq_lens are not asked."""
    case = GatherCase(rows=(5, 20), seq_starts=None, spare_rows=0)
    arguments = gather.upconvert_arguments(case, device)
    arguments["seq_lens"].fill_(-1)
    gather.check_upconvert(arguments)
    assert not (tensors.bytes_of(arguments["dst"]) == -1).all(dim=1).any()


@each_device
def test_rows_before_the_first_sequence_are_left_as_they_are(device):
    case = GatherCase(seq_starts=None, spare_rows=0, first_row=3)
    arguments = gather.upconvert_arguments(case, device)
    gather.check_upconvert(arguments)
    assert (tensors.bytes_of(arguments["dst"][:3]) == -1).all()


@each_device
@pytest.mark.parametrize("rows", [(), (0, 0)])
def test_no_rows_are_a_no_op(rows, device):
    case = GatherCase(rows=rows, seq_starts=None, spare_rows=0)
    gather.check_upconvert(gather.upconvert_arguments(case, device))


@each_device
def test_no_sequences_write_nothing(device):
    arguments = gather.upconvert_arguments(_CASE, device)
    arguments["batch_size"] = 0
    gather.check_upconvert(arguments)
    assert (tensors.bytes_of(arguments["dst"]) == -1).all()


@each_device
def test_fewer_sequences_than_tables(device):
    arguments = gather.upconvert_arguments(_CASE, device)
    for name in ("block_table", "seq_lens", "workspace_starts"):
        arguments[name] = tensors.longer(arguments[name], 0, 2)
    gather.check_upconvert(arguments)


@each_device
@pytest.mark.parametrize("name, dim", [("src_cache", 0), ("src_cache", 1), ("dst", 0)])
def test_gaps(name, dim, device):
    arguments = gather.upconvert_arguments(_CASE, device)
    arguments[name] = tensors.with_gaps(arguments[name], dim)
    gather.check_upconvert(arguments)


@each_device
@pytest.mark.parametrize("shift", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("name", ["src_cache", "dst"])
def test_tensors_that_begin_at_any_element(name, shift, device):
    arguments = gather.upconvert_arguments(_CASE, device)
    arguments[name] = tensors.shifted(arguments[name], shift)
    gather.check_upconvert(arguments)


@on_cuda
def test_cuda_skips_rows_that_come_from_nowhere():
    arguments = gather.upconvert_arguments(_CASE, "cuda")
    stablekv.cp_gather_and_upconvert_fp8_kv_cache(**arguments)
    want = arguments["dst"].clone()
    tensors.bytes_of(want)[5 + 8 : 5 + 16] = -1  # the second block of the third sequence
    arguments["dst"] = tensors.poisoned(tuple(want.shape), torch.bfloat16, "cuda")
    arguments["block_table"][2, 1] = len(arguments["src_cache"])
    stablekv.cp_gather_and_upconvert_fp8_kv_cache(**arguments)
    assert torch.equal(tensors.bytes_of(arguments["dst"]), tensors.bytes_of(want))
