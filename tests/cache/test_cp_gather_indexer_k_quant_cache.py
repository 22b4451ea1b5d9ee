"""cp_gather_indexer_k_quant_cache against the reference, to the last byte of both outputs."""

import pytest
import stablekv
import torch

from tests.support import gather, tensors
from tests.support.devices import each_device, on_cuda
from tests.support.gather import GatherCase

_CASE = GatherCase(seq_starts=None, entry_size=128)


@each_device
@pytest.mark.parametrize("block_size", [1, 3, 16, 64])
@pytest.mark.parametrize(
    "head_dim, num_scales", [(128, 1), (256, 2), (384, 3), (640, 5), (128, 4), (7, 1), (48, 3)]
)
def test_keys_and_scales_of_any_size(head_dim, num_scales, block_size, device):
    case = GatherCase(seq_starts=None, entry_size=head_dim, block_size=block_size)
    gather.check_indexer(gather.indexer_arguments(case, device, num_scales))


@each_device
@pytest.mark.parametrize("rows", [(0,), (0, 0), (1,), (0, 3, 0, 0, 70, 0)])
@pytest.mark.parametrize("spare_rows", [0, 40])
def test_sequences_of_any_number_of_rows(rows, spare_rows, device):
    """Rows past the last sequence are left as they are."""
    case = GatherCase(rows=rows, seq_starts=None, entry_size=128, spare_rows=spare_rows)
    gather.check_indexer(gather.indexer_arguments(case, device))


@each_device
def test_rows_before_the_first_sequence_are_left_as_they_are(device):
    case = GatherCase(seq_starts=None, entry_size=128, first_row=9)
    gather.check_indexer(gather.indexer_arguments(case, device))


@each_device
def test_no_sequences_are_a_no_op(device):
    case = GatherCase(rows=(), seq_starts=None, entry_size=128)
    gather.check_indexer(gather.indexer_arguments(case, device))


@each_device
@pytest.mark.parametrize("name", ["kv_cache", "dst_k"])
def test_the_float8_dtype_is_as_good_as_bytes(name, device):
    arguments = gather.indexer_arguments(_CASE, device)
    arguments[name] = arguments[name].view(torch.float8_e4m3fn)
    gather.check_indexer(arguments)


@each_device
@pytest.mark.parametrize("name", ["kv_cache", "dst_k", "dst_scale"])
def test_gaps(name, device):
    arguments = gather.indexer_arguments(_CASE, device)
    arguments[name] = tensors.with_gaps(arguments[name], 0)
    gather.check_indexer(arguments)


@each_device
@pytest.mark.parametrize("shift", [1, 2, 4, 8])
@pytest.mark.parametrize("name", ["kv_cache", "dst_k", "dst_scale"])
def test_tensors_that_begin_at_any_byte(name, shift, device):
    arguments = gather.indexer_arguments(_CASE, device)
    arguments[name] = tensors.shifted(arguments[name], shift)
    gather.check_indexer(arguments)


@each_device
def test_values_lie_before_the_scales_of_a_block(device):
    """Byte by byte, by the formula of the layout."""
    case = GatherCase(rows=(16,), seq_starts=None, entry_size=128, block_size=16)
    arguments = gather.indexer_arguments(case, device)
    block = arguments["kv_cache"][int(arguments["block_table"][0, 0])].flatten()
    stablekv.cp_gather_indexer_k_quant_cache(**arguments)
    for offset in range(16):
        key = block[offset * 128 : offset * 128 + 128]
        scale = block[16 * 128 + offset * 4 : 16 * 128 + offset * 4 + 4]
        assert torch.equal(arguments["dst_k"][offset], key)
        assert torch.equal(arguments["dst_scale"][offset], scale)


@on_cuda
def test_cuda_skips_rows_that_come_from_nowhere():
    arguments = gather.indexer_arguments(_CASE, "cuda")
    stablekv.cp_gather_indexer_k_quant_cache(**arguments)
    wants = {name: arguments[name].clone() for name in ("dst_k", "dst_scale")}
    for name, want in wants.items():
        want[5 + 8 : 5 + 16] = tensors.POISON  # the second block of the third sequence
        arguments[name] = tensors.poisoned(tuple(want.shape), torch.uint8, "cuda")
    arguments["block_table"][2, 1] = -7
    stablekv.cp_gather_indexer_k_quant_cache(**arguments)
    for name, want in wants.items():
        assert torch.equal(arguments[name], want)
