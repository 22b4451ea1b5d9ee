"""What KVCache refuses, in words, and that it is as before then."""

import re

import pytest
import torch
from stablekv import OutOfBlocksError, UnknownSequenceError

from tests.support import kv_cache
from tests.support.kv_cache import HEADS, SIZE


def test_no_blocks_are_needed_for_fewer_tokens_than_none():
    kv = kv_cache.make()
    with pytest.raises(ValueError, match="num_tokens must be >= 0, got -1"):
        kv.blocks_needed(kv.add(), -1)


def test_out_of_blocks_changes_nothing():
    kv = kv_cache.make()
    first, second = kv.add(), kv.add()
    kv.append([first, second], [10, 20])
    before = kv_cache.state(kv)
    with pytest.raises(OutOfBlocksError) as error:
        kv.append([first, second], [7, 5])  # a block each, and one is free
    assert str(error.value) == (
        "no room for 12 more tokens in 2 sequences: 2 blocks wanted, 1 of 6 are free "
        "(8 tokens each)"
    )
    kv_cache.assert_unchanged(kv, before)
    kv.append([first], [14])
    assert kv.num_free_blocks == 0
    kv.append([second], [4])  # fits in the blocks that it has


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("full"), MemoryError(), KeyboardInterrupt()], ids=repr
)
@pytest.mark.parametrize("tensors", [0, 1, 2])  # of the batch, copied before it fails
def test_an_append_whose_batch_cannot_be_made_changes_nothing(monkeypatch, tensors, error):
    """Sequences would be longer by tokens that nobody wrote, and attend to what lay there."""
    kv = kv_cache.make()
    kv.add(), kv.add()
    kv.append([0, 1], [5, 8])
    before, copy, left = kv_cache.state(kv), kv._tensor, iter(range(tensors))

    def fail(values, dtype):
        if next(left, None) is None:
            raise error
        return copy(values, dtype)

    monkeypatch.setattr(kv, "_tensor", fail)
    with pytest.raises(type(error)):
        kv.append([1, 0], [9, 4])
    kv_cache.assert_unchanged(kv, before)
    monkeypatch.undo()
    assert kv.append([1, 0]).block_tables.tolist() == [[1, 2], [0, -1]]


def test_freeing_twice_is_refused():
    kv = kv_cache.make()
    first, second = kv.add(), kv.add()
    kv.append([first, second], [8, 8])
    kv.free(first)
    before = kv_cache.state(kv)
    with pytest.raises(UnknownSequenceError, match=f"sequence {first} is not in the cache"):
        kv.free(first)
    kv_cache.assert_unchanged(kv, before)


@pytest.mark.parametrize(
    "call",
    [
        lambda kv, s: kv.append([s, 99]),
        lambda kv, s: kv.batch([99]),
        lambda kv, s: kv.length(99),
        lambda kv, s: kv.blocks_needed(99),
        lambda kv, s: kv.free(99),
    ],
)
def test_unknown_sequences_are_refused(call):
    kv = kv_cache.make()
    sequence = kv.add()
    kv.append([sequence], [3])
    before = kv_cache.state(kv)
    with pytest.raises(UnknownSequenceError, match="sequence 99 is not in the cache"):
        call(kv, sequence)
    kv_cache.assert_unchanged(kv, before)


@pytest.mark.parametrize(
    "sequences, counts, message",
    [
        ([0, 0], 1, r"a sequence comes twice in \[0, 0\]"),
        ([0, 1], [1], "num_tokens must have one number for each of 2 sequences, got 1"),
        ([0, 1], [1, 1, 1], "num_tokens must have one number for each of 2 sequences, got 3"),
        ([0, 1], [1, -1], r"num_tokens must be >= 0, got \[1, -1\]"),
        ([0], -1, r"num_tokens must be >= 0, got \[-1\]"),
    ],
)
def test_a_wrong_append_is_refused(sequences, counts, message):
    kv = kv_cache.make()
    kv.add(), kv.add()
    kv.append([0, 1], 5)
    before = kv_cache.state(kv)
    with pytest.raises(ValueError, match=message):
        kv.append(sequences, counts)
    kv_cache.assert_unchanged(kv, before)


def test_a_batch_of_a_freed_sequence_is_refused():
    """Its blocks are another sequence's by now."""
    kv = kv_cache.make()
    first, second = kv.add(), kv.add()
    stale, fresh = kv.append([first]), kv.append([second])
    kv.free(first)
    row = torch.ones(1, HEADS, SIZE)
    before = kv_cache.state(kv)
    with pytest.raises(UnknownSequenceError, match=f"sequence {first} is not in the cache"):
        kv.write(0, row, row, stale)
    with pytest.raises(UnknownSequenceError, match=f"sequence {first} is not in the cache"):
        kv.attend(0, row, stale)
    kv_cache.assert_unchanged(kv, before)
    kv.write(0, row, row, fresh)
    torch.testing.assert_close(kv.attend(0, row, fresh), row)


def test_a_sequence_is_no_longer_than_the_longest():
    kv = kv_cache.make(max_seq_len=20)
    kv.append([kv.add(), kv.add()], [20, 3])
    before = kv_cache.state(kv)
    with pytest.raises(
        ValueError, match=r"sequence 0 must have at most max_seq_len = 20 .* 20 [+] 1"
    ):
        kv.append([1, 0], [2, 1])
    kv_cache.assert_unchanged(kv, before)
    kv.append([1, 0], [17, 0])


def test_queries_are_as_many_as_sequences():
    kv = kv_cache.make()
    batch = kv.append([kv.add()], [2])
    with pytest.raises(
        ValueError, match=r"query must have 1 tokens, one for each sequence .*, got 2"
    ):
        kv.attend(0, torch.ones(2, HEADS, SIZE), batch)


@pytest.mark.parametrize("kv_cache_dtype", ["auto", "fp8"])
def test_elements_of_another_dtype_are_refused(kv_cache_dtype):
    """An fp8 cache would take them, scaled for others."""
    kv = kv_cache.make(dtype=torch.bfloat16, kv_cache_dtype=kv_cache_dtype)
    assert (kv.dtype, kv.kv_cache_dtype) == (torch.bfloat16, kv_cache_dtype)
    batch = kv.append([kv.add()])
    before = kv_cache.state(kv)
    row = torch.ones(1, HEADS, SIZE)
    with pytest.raises(ValueError, match=r"key must be torch.bfloat16, .*, got torch.float32"):
        kv.write(0, row, row, batch)
    with pytest.raises(ValueError, match=r"query must be torch.bfloat16, .*, got torch.float16"):
        kv.attend(0, row.half(), batch)
    kv_cache.assert_unchanged(kv, before)


@pytest.mark.parametrize("layer", [-1, 2])
@pytest.mark.parametrize(
    "call",
    [
        lambda kv, layer, row, batch: kv.write(layer, row, row, batch),
        lambda kv, layer, row, batch: kv.attend(layer, row, batch),
        lambda kv, layer, row, batch: kv.tensors(layer),
    ],
)
def test_a_layer_that_is_not_there_is_refused(call, layer):
    kv = kv_cache.make()
    batch = kv.append([kv.add()])
    before = kv_cache.state(kv)
    with pytest.raises(ValueError, match=rf"layer must be in \[0, 1\], got {layer}"):
        call(kv, layer, torch.ones(1, HEADS, SIZE), batch)
    kv_cache.assert_unchanged(kv, before)


def test_a_batch_of_another_cache_is_refused():
    """Both count their sequences from 0, and have blocks of the same numbers."""
    kv, other = kv_cache.make(), kv_cache.make()
    kv.append([kv.add()]), kv.free(0)
    batch, foreign = kv.append([kv.add()]), other.append([other.add()])
    other.free(0)
    before = kv_cache.state(kv)
    row = torch.ones(1, HEADS, SIZE)
    with pytest.raises(ValueError, match="batch must be of this KVCache, got one of another"):
        kv.write(0, row, row, foreign)
    with pytest.raises(ValueError, match="batch must be of this KVCache, got one of another"):
        kv.attend(0, row, foreign)
    kv_cache.assert_unchanged(kv, before)
    kv.write(0, row, row, batch)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda kv: kv.append([0, 1], 1.0), "num_tokens must be whole numbers, got 1.0"),
        (lambda kv: kv.append([0, 1], [1, 2.0]), r"num_tokens must be .* numbers, got \[1, 2.0\]"),
        (lambda kv: kv.append([0, 1], None), "num_tokens must be whole numbers, got None"),
        (lambda kv: kv.append([0], torch.tensor(1.5)), "num_tokens must be .*, got tensor"),
        (lambda kv: kv.append(5), "sequences must be whole numbers, got 5"),
        (lambda kv: kv.append(["0"]), r"sequences must be whole numbers, got \['0'\]"),
        (lambda kv: kv.batch([0.0]), r"sequences must be whole numbers, got \[0.0\]"),
        (lambda kv: kv.blocks_needed(0, 1.5), "num_tokens must be a whole number, got 1.5"),
        (lambda kv: kv.blocks_needed(0.0), "sequence must be a whole number, got 0.0"),
        (lambda kv: kv.length("0"), "sequence must be a whole number, got '0'"),
        (lambda kv: kv.free(0.0), "sequence must be a whole number, got 0.0"),
        (lambda kv: kv.tensors("0"), "layer must be a whole number, got '0'"),
        (lambda kv: kv.tensors(0.0), "layer must be a whole number, got 0.0"),
    ],
)
def test_sequences_tokens_and_layers_are_whole_numbers(call, message):
    kv = kv_cache.make()
    kv.add(), kv.add()
    before = kv_cache.state(kv)
    with pytest.raises(TypeError, match=message):
        call(kv)
    kv_cache.assert_unchanged(kv, before)


def test_a_key_without_dimensions_is_refused_in_words():
    kv = kv_cache.make()
    batch = kv.append([kv.add()], [2])
    with pytest.raises(RuntimeError, match=r"^reshape_and_cache: key must have shape .*, got \[\]"):
        kv.write(0, torch.ones(()), torch.ones(()), batch)


@pytest.mark.parametrize("name", ["key", "value"])
@pytest.mark.parametrize("tokens", [1, 3])
def test_keys_and_values_must_be_as_many_as_new_tokens(name, tokens):
    kv = kv_cache.make()
    batch = kv.append([kv.add()], [2])
    before = kv_cache.state(kv)
    rows = {"key": torch.ones(2, HEADS, SIZE), "value": torch.ones(2, HEADS, SIZE)}
    rows[name] = torch.ones(tokens, HEADS, SIZE)
    with pytest.raises(ValueError, match=f"{name} must have 2 tokens, .*, got {tokens}"):
        kv.write(0, **rows, batch=batch)
    kv_cache.assert_unchanged(kv, before)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"num_layers": 0}, "num_layers must be >= 1, got 0"),
        ({"num_kv_heads": 0}, "num_kv_heads must be >= 1, got 0"),
        ({"num_blocks": -1}, "num_blocks must be >= 0, got -1"),
        ({"head_size": 33}, "head_size must be one of .*, got 33"),
        ({"block_size": 4}, "block_size must be one of .*, got 4"),
        ({"dtype": torch.int8}, r"dtype must be one of .*, got torch\.int8"),
        ({"kv_cache_dtype": "int4"}, "kv_cache_dtype must be one of .*, got 'int4'"),
        ({"k_scale": [1.0]}, "k_scale must have a value for each of 2 layers, got 1"),
        ({"v_scale": [1.0] * 3}, "v_scale must have a value for each of 2 layers, got 3"),
        ({"v_scale": torch.ones(2, 1)}, "v_scale must have a value for .* 2 layers, got 2 x 1"),
        ({"k_scale": 0.0}, "k_scale must be finite and > 0, got 0.0"),
        ({"v_scale": [1.0, float("nan")]}, r"v_scale must be finite and > 0, got \[1.0, nan\]"),
        ({"k_scale": float("inf")}, "k_scale must be finite and > 0, got inf"),
        ({"max_seq_len": 0}, "max_seq_len must be >= 1, got 0"),
        ({"max_seq_len": 2**31}, "max_seq_len must be <= 2147483647, got 2147483648"),
        ({"num_blocks": 10**12}, "num_blocks must be <= 2147483647, got 1000000000000"),
    ],
)
def test_a_wrong_cache_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        kv_cache.make(**change)


@pytest.mark.parametrize(
    "name",
    ["num_layers", "num_blocks", "num_kv_heads", "head_size", "block_size", "max_seq_len"],
)
@pytest.mark.parametrize("number", [8.0, "8"])
def test_sizes_of_a_cache_are_whole_numbers(name, number):
    with pytest.raises(TypeError, match=f"{name} must be a whole number, got {number!r}"):
        kv_cache.make(**{name: number})


@pytest.mark.parametrize("name", ["k_scale", "v_scale"])
@pytest.mark.parametrize("scale", ["x", None, [1.0, "x"], [[1.0], [1.0, 2.0]], 1j], ids=repr)
def test_scales_that_are_no_numbers_are_refused(name, scale):
    message = f"{name} must be a number, a number for each layer or a tensor, got {scale!r}"
    with pytest.raises(TypeError, match=re.escape(message)):
        kv_cache.make(**{name: scale})
