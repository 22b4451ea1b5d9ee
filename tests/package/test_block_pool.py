"""Blocks go out once, come back once, and a refusal changes nothing."""

import random

import pytest
from stablekv import BlockPool, OutOfBlocksError


def test_every_block_goes_out_once():
    pool = BlockPool(5)
    assert sorted(pool.take(2) + pool.take(3)) == [0, 1, 2, 3, 4]
    assert (pool.num_blocks, pool.num_free, pool.num_taken) == (5, 0, 5)


def test_too_few_free_blocks_is_an_error_that_takes_none():
    pool = BlockPool(3)
    pool.take(1)
    with pytest.raises(OutOfBlocksError, match="3 blocks wanted, 2 of 3 are free"):
        pool.take(3)
    assert pool.num_free == 2
    assert len(pool.take(2)) == 2


def test_freed_blocks_are_the_next_to_go_out():
    pool = BlockPool(8)
    blocks = pool.take(4)
    pool.give_back(blocks[1:3])
    assert pool.take(2) == blocks[1:3]


@pytest.mark.parametrize(
    "blocks, message",
    [
        ([0, 0], "given back twice"),
        ([0, 3], "block 3 is free already"),
        ([0, 4], "block 4 is not in a pool of 4"),
        ([-1], "block -1 is not in a pool of 4"),
    ],
)
def test_what_was_not_taken_cannot_come_back(blocks, message):
    pool = BlockPool(4)
    pool.take(3)
    with pytest.raises(ValueError, match=message):
        pool.give_back(blocks)
    assert pool.num_taken == 3
    pool.give_back([0, 1, 2])
    assert pool.num_free == 4


def test_what_came_back_cannot_come_back_again():
    pool = BlockPool(4)
    pool.take(3)
    pool.give_back([1])
    with pytest.raises(ValueError, match="block 1 is free already"):
        pool.give_back([1])
    assert (pool.num_free, sorted(pool.take(2))) == (2, [1, 3])


def test_negative_counts_are_refused():
    with pytest.raises(ValueError, match="num_blocks must be >= 0, got -1"):
        BlockPool(-1)
    with pytest.raises(ValueError, match="count must be >= 0, got -1"):
        BlockPool(1).take(-1)


@pytest.mark.parametrize("count", [1.5, 1.0, "1", None])
def test_blocks_are_counted_in_whole_numbers(count):
    with pytest.raises(TypeError, match=f"num_blocks must be a whole number, got {count!r}"):
        BlockPool(count)
    pool = BlockPool(3)
    with pytest.raises(TypeError, match=f"count must be a whole number, got {count!r}"):
        pool.take(count)
    assert sorted(pool.take(3)) == [0, 1, 2]
    with pytest.raises(TypeError, match="blocks must be whole numbers, got "):
        pool.give_back([0, count])
    with pytest.raises(TypeError, match="blocks must be whole numbers, got 1"):
        pool.give_back(1)
    assert pool.num_taken == 3


@pytest.mark.parametrize("count", [2**31, 10**12, 10**19])
def test_more_blocks_than_a_table_can_number_are_refused(count):
    with pytest.raises(ValueError, match=f"num_blocks must be <= 2147483647, got {count}"):
        BlockPool(count)


def test_an_empty_pool():
    pool = BlockPool(0)
    assert pool.take(0) == []
    pool.give_back([])
    with pytest.raises(OutOfBlocksError):
        pool.take(1)


def test_random_use_never_hands_out_a_block_twice():
    random.seed(0)
    pool, taken = BlockPool(50), []
    for _ in range(2000):
        if random.random() < 0.5:
            count = random.randrange(8)
            if count <= pool.num_free:
                taken.append(pool.take(count))
            else:
                with pytest.raises(OutOfBlocksError):
                    pool.take(count)
        elif taken:
            pool.give_back(taken.pop(random.randrange(len(taken))))
        held = [block for blocks in taken for block in blocks]
        assert len(set(held)) == len(held) == pool.num_taken
