"""cp_gather_cache against the reference, to the last byte of dst."""

import dataclasses

import pytest
import stablekv
import torch

from tests.support import gather, tensors
from tests.support.devices import each_device, on_cuda
from tests.support.gather import GatherCase

_DTYPES = (
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.float8_e4m3fn,
    torch.float8_e5m2,
    torch.uint8,
    torch.int8,
    torch.bool,
    torch.int16,
    torch.int32,
    torch.uint16,
    torch.uint32,
    torch.float8_e4m3fnuz,
    torch.float8_e5m2fnuz,
    torch.complex32,
)
# Those that torch 2.10 has no stable name for; random numbers are not made of them.
_NAMELESS = (torch.float8_e8m0fnu, torch.float4_e2m1fn_x2)

each_starts = pytest.mark.parametrize("seq_starts", [None, (3, 40, 0, 21), (0, 0, 16, 8)])


@each_device
@pytest.mark.parametrize("dtype", _DTYPES, ids=str)
def test_copies_elements_of_any_kind_bit_for_bit(dtype, device):
    case = GatherCase(dtype=torch.int32 if dtype == torch.bool else dtype)
    arguments = gather.plain_arguments(case, device)
    if dtype == torch.bool:
        arguments["src_cache"] = arguments["src_cache"] > 0
        arguments["dst"] = arguments["dst"] > 0
    gather.check_plain(arguments)


@each_device
@pytest.mark.parametrize("dtype", _NAMELESS, ids=str)
def test_copies_elements_without_a_stable_name(dtype, device):
    arguments = gather.plain_arguments(GatherCase(dtype=torch.uint8), device)
    as_bytes = dict(arguments, dst=arguments["dst"].clone())
    stablekv.cp_gather_cache(**as_bytes)
    seen = {name: arguments[name].view(dtype) for name in ("src_cache", "dst")}
    stablekv.cp_gather_cache(**{**arguments, **seen})
    assert torch.equal(arguments["dst"], as_bytes["dst"])
    other = seen["dst"].view(_NAMELESS[dtype == _NAMELESS[0]])
    with pytest.raises(RuntimeError, match=r"dst must be .* src_cache.*, got another such"):
        stablekv.cp_gather_cache(**{**arguments, **seen, "dst": other})


@each_device
@each_starts
@pytest.mark.parametrize("block_size", [1, 3, 16, 64])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_sequences_that_begin_anywhere(dtype, block_size, seq_starts, device):
    case = GatherCase(dtype=dtype, block_size=block_size, seq_starts=seq_starts)
    gather.check_plain(gather.plain_arguments(case, device))


@each_device
@pytest.mark.parametrize("entry_size", [1, 2, 7, 8, 63, 320, 512, 576, 1000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.uint8], ids=str)
def test_entries_of_any_size(dtype, entry_size, device):
    case = GatherCase(dtype=dtype, entry_size=entry_size)
    gather.check_plain(gather.plain_arguments(case, device))


@each_device
@pytest.mark.parametrize("rows", [(0,), (0, 0, 0), (1,), (0, 1, 0, 0, 7, 0), (64, 1, 130)])
@pytest.mark.parametrize("spare_rows", [0, 50])
def test_sequences_of_any_number_of_rows(rows, spare_rows, device):
    case = GatherCase(rows=rows, seq_starts=None, spare_rows=spare_rows)
    gather.check_plain(gather.plain_arguments(case, device))


@each_device
def test_many_sequences(device):
    rows = tuple(torch.randint(0, 5, (300,), generator=torch.Generator().manual_seed(3)).tolist())
    gather.check_plain(gather.plain_arguments(GatherCase(rows=rows, seq_starts=None), device))


@each_device
def test_rows_before_the_first_sequence_are_left_as_they_are(device):
    gather.check_plain(gather.plain_arguments(GatherCase(first_row=6), device))


@each_device
@pytest.mark.parametrize("spare_rows", [0, 4])
def test_no_sequences_are_a_no_op(spare_rows, device):
    case = GatherCase(rows=(), seq_starts=(), spare_rows=spare_rows)
    gather.check_plain(gather.plain_arguments(case, device))


@each_device
def test_entries_without_elements_are_a_no_op(device):
    gather.check_plain(gather.plain_arguments(GatherCase(entry_size=0), device))


@each_device
def test_tokens_of_several_dimensions(device):
    arguments = gather.plain_arguments(GatherCase(), device)
    arguments["src_cache"] = arguments["src_cache"].unflatten(2, (2, 3, 4))
    arguments["dst"] = arguments["dst"].unflatten(1, (6, 4))
    gather.check_plain(arguments)


@each_device
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.uint8], ids=str)
@pytest.mark.parametrize("name, dim", [("src_cache", 0), ("src_cache", 1), ("dst", 0)])
def test_gaps(name, dim, dtype, device):
    arguments = gather.plain_arguments(GatherCase(dtype=dtype), device)
    arguments[name] = tensors.with_gaps(arguments[name], dim)
    gather.check_plain(arguments)


@each_device
@pytest.mark.parametrize("shift", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("name", ["src_cache", "dst"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.uint8], ids=str)
def test_tensors_that_begin_at_any_element(dtype, name, shift, device):
    arguments = gather.plain_arguments(GatherCase(dtype=dtype, entry_size=64), device)
    arguments[name] = tensors.shifted(arguments[name], shift)
    gather.check_plain(arguments)


@each_device
def test_a_table_of_which_only_some_columns_belong_to_it(device):
    arguments = gather.plain_arguments(GatherCase(), device)
    wide = tensors.longer(arguments["block_table"], 1, 5)
    arguments["block_table"] = wide[:, : arguments["block_table"].shape[1]]
    gather.check_plain(arguments)


@each_device
def test_more_tables_and_starts_than_sequences(device):
    arguments = gather.plain_arguments(GatherCase(), device)
    arguments["block_table"] = tensors.longer(arguments["block_table"], 0, 3)
    arguments["seq_starts"] = tensors.longer(arguments["seq_starts"], 0, 3)
    gather.check_plain(arguments)


@each_device
def test_one_block_in_several_tables(device):
    """Sequences that share a prefix."""
    arguments = gather.plain_arguments(GatherCase(seq_starts=None), device)
    arguments["block_table"][:, 0] = 2
    gather.check_plain(arguments)


@each_device
def test_offsets_past_32_bits(device):
    """Blocks 1 GiB apart, in memory that is reserved and mostly never touched."""
    stride = 2**30
    pool = torch.empty(5 * stride, dtype=torch.uint8, device=device)
    src_cache = pool.as_strided((5, 4, 16), (stride, 16, 1))
    src_cache.copy_(gather.random_bits((5, 4, 16), torch.uint8))
    dst = torch.zeros(12, 16, dtype=torch.uint8, device=device)
    table = torch.tensor([[4, 0, 3]], dtype=torch.int32, device=device)
    cu_seq_lens = torch.tensor([0, 12], dtype=torch.int32, device=device)
    stablekv.cp_gather_cache(src_cache, dst, table, cu_seq_lens, 1)
    assert torch.equal(dst, src_cache[[4, 0, 3]].flatten(0, 1))


@on_cuda
def test_cuda_skips_rows_that_come_from_nowhere():
    """A table that is too short, a block outside the cache, a negative start, rows past dst."""
    good = gather.plain_arguments(GatherCase(), "cuda")
    stablekv.cp_gather_cache(**good)
    cut = dict(good, block_table=good["block_table"][:, :2].contiguous())
    cut["dst"] = tensors.poisoned(tuple(good["dst"].shape), torch.float32, "cuda")
    stablekv.cp_gather_cache(**cut)
    # Of the third sequence, whose 19 rows begin at row 5 and at token 0, 16 rows have a block.
    assert torch.equal(tensors.bytes_of(cut["dst"][5:21]), tensors.bytes_of(good["dst"][5:21]))
    assert (tensors.bytes_of(cut["dst"][21:]) == -1).all()

    wrong = dict(good, block_table=good["block_table"].clone())
    wrong["dst"] = tensors.poisoned(tuple(good["dst"].shape), torch.float32, "cuda")
    wrong["block_table"][2, 1] = 10**6
    wrong["seq_starts"] = good["seq_starts"].clone()
    wrong["seq_starts"][0] = -(2**31)
    stablekv.cp_gather_cache(**wrong)
    want = good["dst"].clone()
    tensors.bytes_of(want)[:5] = -1
    tensors.bytes_of(want)[5 + 8 : 5 + 16] = -1
    assert torch.equal(tensors.bytes_of(wrong["dst"]), tensors.bytes_of(want))

    longer = tensors.poisoned((20, 24), torch.float32, "cuda")
    stablekv.cp_gather_cache(**dict(good, dst=longer[:15]))
    assert torch.equal(tensors.bytes_of(longer[:15]), tensors.bytes_of(good["dst"][:15]))
    assert (tensors.bytes_of(longer[15:]) == -1).all()


@each_device
def test_the_table_and_the_starts_decide_and_nothing_else(device):
    """Another shuffle of the same blocks gives the same rows."""
    case = GatherCase(seq_starts=None)
    arguments = gather.plain_arguments(case, device)
    gather.check_plain(arguments)
    order = torch.randperm(len(arguments["src_cache"]), device=device)
    place = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=device))
    table = arguments["block_table"]
    inside = (table >= 0) & (table < len(order))
    shuffled = torch.where(inside, place[table.clamp(0, len(order) - 1).long()].int(), table)
    again = dict(arguments, src_cache=arguments["src_cache"][order], block_table=shuffled)
    again["dst"] = tensors.poisoned(tuple(arguments["dst"].shape), torch.float32, device)
    stablekv.cp_gather_cache(**again)
    assert torch.equal(tensors.bytes_of(again["dst"]), tensors.bytes_of(arguments["dst"]))


def test_a_case_says_what_is_special_about_it():
    assert str(dataclasses.replace(GatherCase(), rows=(1, 2), scale=2.0)) == "rows=1+2,scale=2.0"
