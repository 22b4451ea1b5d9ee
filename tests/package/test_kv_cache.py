"""KVCache: sequences come, grow and go, and what they attend to is theirs alone."""

import random

import numpy
import pytest
import stablekv
import torch
from stablekv import OutOfBlocksError, layouts

from tests.support import kv_cache
from tests.support.devices import each_device
from tests.support.kv_cache import HEADS, SIZE


def test_a_new_cache_is_empty():
    kv = kv_cache.make(device="cpu")
    assert (kv.num_layers, kv.num_blocks, kv.block_size) == (2, 6, 8)
    assert (kv.num_free_blocks, kv.num_used_blocks) == (6, 0)
    assert kv.device == torch.device("cpu")
    assert kv.num_bytes == 2 * 2 * 6 * 8 * HEADS * SIZE * 4
    assert not any(t.any() for t in kv.tensors(0) + kv.tensors(1))


def test_numbers_of_sequences_are_not_used_again():
    kv = kv_cache.make()
    first, second = kv.add(), kv.add()
    kv.free(first)
    assert len({first, second, kv.add()}) == 3


def test_append_takes_blocks_as_they_fill():
    kv = kv_cache.make()
    sequence = kv.add()
    assert (kv.length(sequence), kv.num_used_blocks) == (0, 0)
    used = []
    for _ in range(17):
        kv.append([sequence])
        used.append(kv.num_used_blocks)
    assert used == [1] * 8 + [2] * 8 + [3]
    assert kv.length(sequence) == 17


@pytest.mark.parametrize("scale", [0.5, numpy.float32(0.5), torch.tensor(0.5), [0.5, 0.5]])
def test_scales_of_any_kind(scale):
    assert kv_cache.make(k_scale=scale)._k_scales.tolist() == [0.5, 0.5]


@pytest.mark.parametrize("shape", [(), (2,)])
def test_scales_are_copies(shape):
    scale = torch.full(shape, 0.5)
    kv = kv_cache.make(k_scale=scale)
    scale.fill_(7)
    assert kv._k_scales.tolist() == [0.5, 0.5]


def test_blocks_needed():
    kv = kv_cache.make()
    sequence = kv.add()
    assert [kv.blocks_needed(sequence, n) for n in (0, 1, 8, 9)] == [0, 1, 1, 2]
    kv.append([sequence], [7])
    assert [kv.blocks_needed(sequence, n) for n in (0, 1, 2, 10)] == [0, 0, 1, 2]


def test_a_batch_describes_its_sequences():
    kv = kv_cache.make()
    long, short, empty = kv.add(), kv.add(), kv.add()
    first = kv.append([long], [9])
    assert first.slot_mapping.tolist() == list(range(9))  # blocks 0 and 1
    batch = kv.append([short, long, empty], [3, 8, 0])
    assert batch.sequences == (short, long, empty)
    assert batch.slot_mapping.tolist() == [16, 17, 18, *range(9, 16), 24]
    assert batch.seq_lens.tolist() == [3, 17, 0]
    assert batch.block_tables.tolist() == [[2, -1, -1], [0, 1, 3], [-1, -1, -1]]
    assert batch.max_seq_len == 17
    assert batch.slot_mapping.dtype == torch.int64
    assert batch.block_tables.dtype == batch.seq_lens.dtype == torch.int32

    again = kv.batch([long, short])
    assert again.slot_mapping.numel() == 0
    assert again.block_tables.tolist() == [[0, 1, 3], [2, -1, -1]]


def test_one_count_for_all():
    kv = kv_cache.make()
    batch = kv.append([kv.add(), kv.add()], 2)
    assert batch.slot_mapping.tolist() == [0, 1, 8, 9]


def test_an_empty_batch():
    kv = kv_cache.make()
    batch = kv.append([])
    assert batch.slot_mapping.shape == (0,)
    assert batch.block_tables.shape == (0, 0)
    none = torch.empty(0, HEADS, SIZE)
    kv.write(0, none, none, batch)
    assert kv.attend(0, none, batch).shape == (0, HEADS, SIZE)


def test_sequences_without_tokens_attend_to_nothing():
    kv = kv_cache.make()
    batch = kv.batch([kv.add()])
    assert not kv.attend(0, torch.ones(1, HEADS, SIZE), batch).any()


def test_freed_blocks_are_used_again():
    kv = kv_cache.make()
    first, second = kv.add(), kv.add()
    kv.append([first, second], [24, 24])
    kv.free(first)
    assert kv.num_free_blocks == 3
    third = kv.add()
    batch = kv.append([third], [24])
    assert sorted(batch.block_tables[0].tolist()) == [0, 1, 2]


def test_with_a_longest_length_all_batches_have_one_shape():
    kv, plain = kv_cache.make(max_seq_len=20), kv_cache.make()
    for cache in (kv, plain):
        cache.add(), cache.add()
    for counts in ([3, 0], [6, 1], [11, 2]):
        batch, grown = kv.append([0, 1], counts), plain.append([0, 1], counts)
        assert (batch.block_tables.shape, batch.max_seq_len) == ((2, 3), 20)
        width = grown.block_tables.shape[1]
        assert torch.equal(batch.block_tables[:, :width], grown.block_tables)
        assert (batch.block_tables[:, width:] == -1).all()
        assert torch.equal(batch.seq_lens, grown.seq_lens)
        rows = torch.randn(sum(counts), HEADS, SIZE)
        query = torch.randn(2, HEADS, SIZE)
        for cache, its in ((kv, batch), (plain, grown)):
            cache.write(0, rows, rows, its)
        assert torch.equal(kv.attend(0, query, batch), plain.attend(0, query, grown))


def test_several_tokens_of_one_sequence_attend_each_to_what_comes_before():
    """As the docstring of attend says: to the operator they are sequences of one table."""
    kv = kv_cache.make()
    rows = torch.randn(12, HEADS, SIZE)
    query = torch.randn(12, HEADS, SIZE)
    alone = []
    for length in range(8, 12):
        sequence = kv.add()
        batch = kv.append([sequence], [length + 1])
        kv.write(0, rows[: length + 1], rows[: length + 1], batch)
        alone.append(kv.attend(0, query[length : length + 1], batch))
        kv.free(sequence)
    batch = kv.append([kv.add()], [12])
    kv.write(0, rows, rows, batch)
    lengths = torch.arange(9, 13, dtype=torch.int32)
    table = batch.block_tables.expand(4, -1)
    chunk = stablekv.paged_attention(query[8:], *kv.tensors(0), table, lengths)
    torch.testing.assert_close(chunk, torch.cat(alone))


def test_batches_are_compared_as_objects():
    kv = kv_cache.make()
    kv.add()
    first, second = kv.batch([0]), kv.batch([0])
    assert first == first and first != second and second in [first, second]


def test_numbers_of_sequences_of_any_kind():
    kv = kv_cache.make()
    kv.add(), kv.add()
    assert kv.append(torch.tensor([1, 0]), [1, 2]).seq_lens.tolist() == [1, 2]
    kv.free(numpy.int64(1))
    assert kv.length(torch.tensor(0)) == 2
    kv.free(torch.tensor(0))
    assert kv.num_used_blocks == 0


def test_sequences_and_counts_may_be_read_only_once():
    kv = kv_cache.make(max_seq_len=20)
    kv.add(), kv.add()
    batch = kv.append(iter([1, 0]), iter([2, 3]))
    assert (batch.sequences, batch.seq_lens.tolist()) == ((1, 0), [2, 3])
    again = kv.batch(number for number in (0, 1))
    assert (again.sequences, again.seq_lens.tolist()) == ((0, 1), [3, 2])
    with pytest.raises(ValueError, match=r"sequence 0 must have at most max_seq_len = 20 tokens"):
        kv.append(iter([1, 0]), iter([0, 18]))


@pytest.mark.parametrize(
    "count", [3, numpy.int64(3), torch.tensor(3), [3, 3], numpy.array([3, 3]), torch.tensor([3, 3])]
)
def test_numbers_of_tokens_of_any_kind(count):
    kv = kv_cache.make()
    batch = kv.append([kv.add(), kv.add()], count)
    assert batch.seq_lens.tolist() == [3, 3]


@each_device
@pytest.mark.parametrize("block_size", layouts.BLOCK_SIZES)
@pytest.mark.parametrize("dtype", layouts.ELEMENT_DTYPES, ids=layouts.dtype_name)
def test_sequences_that_come_and_go_attend_to_their_own_tokens(dtype, block_size, device):
    """A server in small: random prompts, steps and departures, against dense attention."""
    random.seed(block_size)
    torch.manual_seed(block_size)
    kv = kv_cache.make(num_blocks=12, block_size=block_size, dtype=dtype, device=device)
    dense = {}  # sequence -> layer -> [keys, values]
    for step in range(60):
        if len(dense) < 4 and random.random() < 0.4:
            dense[kv.add()] = [[torch.empty(0, HEADS, SIZE)] * 2 for _ in range(2)]
        sequences = random.sample(list(dense), random.randint(0, len(dense)))
        counts = [random.randint(1, 5) for _ in sequences]
        try:
            batch = kv.append(sequences, counts)
        except OutOfBlocksError:
            gone = random.choice(list(dense))
            kv.free(gone)
            del dense[gone]
            continue
        for layer in range(2):
            key, value = torch.randn(2, sum(counts), HEADS, SIZE).to(dtype)
            kv.write(layer, key.to(device), value.to(device), batch)
            query = torch.randn(len(sequences), 2 * HEADS, SIZE).to(dtype)
            out = kv.attend(layer, query.to(device), batch, scale=0.3)
            begin = 0
            for i, (sequence, count) in enumerate(zip(sequences, counts, strict=True)):
                new = slice(begin, begin + count)
                begin += count
                for held, more in zip((0, 1), (key, value), strict=True):
                    old = dense[sequence][layer][held]
                    dense[sequence][layer][held] = torch.cat([old, more[new].float()])
                want = _dense(query[i], *dense[sequence][layer])
                error = (out[i].cpu().float() - want).abs().max()
                assert error <= 4 * torch.finfo(dtype).eps + 1e-5, (step, layer, sequence)
        used = sum(-(-kv.length(sequence) // block_size) for sequence in dense)
        assert kv.num_used_blocks == used
    assert dense


def _dense(query, keys, values):
    keys, values = (t.repeat_interleave(2, dim=1).transpose(0, 1) for t in (keys, values))
    attend = torch.nn.functional.scaled_dot_product_attention
    return attend(query.float()[:, None], keys, values, scale=0.3)[:, 0]


@each_device
@pytest.mark.parametrize("kind, mantissa_bits", [("fp8", 3), ("fp8_e5m2", 2)])
def test_fp8_with_a_scale_for_each_layer(kind, mantissa_bits, device):
    kv = kv_cache.make(kv_cache_dtype=kind, k_scale=0.5, v_scale=[0.01, 10.0], device=device)
    batch = kv.append([kv.add()])
    for layer, size in enumerate((0.01, 10.0)):
        value = torch.linspace(-300, 300, HEADS * SIZE).view(1, HEADS, SIZE) * size
        value = value.to(device)
        kv.write(layer, value, value, batch)
        got = kv.attend(layer, torch.zeros_like(value), batch)
        step = 2.0 ** -(mantissa_bits + 1)
        torch.testing.assert_close(got, value, rtol=step * 1.001, atol=0)
    assert kv.num_bytes == 2 * 2 * 6 * 8 * HEADS * SIZE


def test_attend_into_a_given_tensor_with_alibi():
    kv = kv_cache.make()
    batch = kv.append([kv.add()], [20])
    key = torch.zeros(20, HEADS, SIZE)
    value = torch.arange(20.0)[:, None, None].expand(20, HEADS, SIZE).contiguous()
    kv.write(1, key, value, batch)
    out = torch.empty(1, HEADS, SIZE)
    slopes = torch.tensor([0.0, 1e4])  # all tokens alike, and the newest alone
    assert kv.attend(1, torch.ones(1, HEADS, SIZE), batch, alibi_slopes=slopes, out=out) is out
    torch.testing.assert_close(out[0, 0], torch.full((SIZE,), 9.5))
    torch.testing.assert_close(out[0, 1], torch.full((SIZE,), 19.0))
