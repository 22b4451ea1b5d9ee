"""Hands out the numbered blocks of a cache and takes them back."""

from __future__ import annotations

from collections.abc import Iterable

from stablekv._numbers import INT32_MAX, whole_number, whole_numbers


class OutOfBlocksError(RuntimeError):
    """More blocks were asked for than are free. Nothing has changed."""


class BlockPool:
    """Blocks 0 .. num_blocks - 1, each either free or taken.

    A block that comes back is the next one to go out: its memory is the most likely to be cached.
    """

    def __init__(self, num_blocks: int) -> None:
        """All blocks are free.

        Raises:
            TypeError: `num_blocks` is no whole number.
            ValueError: `num_blocks` is negative, or more than block tables of int32 can number.
        """
        num_blocks = whole_number("num_blocks", num_blocks, 0, INT32_MAX)
        self._num_blocks = num_blocks
        self._first_fresh = 0  # it and the blocks after it were never taken
        self._returned: list[int] = []
        self._is_taken = bytearray(num_blocks)

    @property
    def num_blocks(self) -> int:
        return self._num_blocks

    @property
    def num_free(self) -> int:
        return len(self._returned) + self._num_blocks - self._first_fresh

    @property
    def num_taken(self) -> int:
        return self._first_fresh - len(self._returned)

    def take(self, count: int) -> list[int]:
        """Takes `count` blocks.

        Raises:
            OutOfBlocksError: fewer are free; none is taken then.
            TypeError: `count` is no whole number.
            ValueError: `count` is negative.
        """
        count = whole_number("count", count, 0)
        if count > self.num_free:
            raise OutOfBlocksError(
                f"{count} blocks wanted, {self.num_free} of {self._num_blocks} are free"
            )
        blocks = [self._returned.pop() for _ in range(min(count, len(self._returned)))]
        more = range(self._first_fresh, self._first_fresh + count - len(blocks))
        self._first_fresh = more.stop
        blocks.extend(more)
        for block in blocks:
            self._is_taken[block] = True
        return blocks

    def give_back(self, blocks: Iterable[int]) -> None:
        """Frees blocks that were taken.

        Raises:
            TypeError: a block is no whole number.
            ValueError: a block is free already, comes twice, or does not exist.
            None is freed then.
        """
        blocks = whole_numbers("blocks", blocks)
        for block in blocks:
            if not 0 <= block < self._num_blocks:
                raise ValueError(f"block {block} is not in a pool of {self._num_blocks}")
            if not self._is_taken[block]:
                raise ValueError(f"block {block} is free already")
        if len(set(blocks)) != len(blocks):
            raise ValueError(f"a block is given back twice in {blocks}")
        for block in reversed(blocks):
            self._is_taken[block] = False
            self._returned.append(block)
