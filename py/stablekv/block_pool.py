"""Hands out the numbered blocks of a cache and takes them back."""

from __future__ import annotations

from collections.abc import Iterable


class OutOfBlocksError(RuntimeError):
    """More blocks were asked for than are free. Nothing has changed."""


class BlockPool:
    """Blocks 0 .. num_blocks - 1, each either free or taken.

    A block that comes back is the next one to go out: its memory is the most likely to be cached.
    """

    def __init__(self, num_blocks: int) -> None:
        """All blocks are free.

        Raises:
            ValueError: `num_blocks` is negative.
        """
        if num_blocks < 0:
            raise ValueError(f"num_blocks must be >= 0, got {num_blocks}")
        self._num_blocks = num_blocks
        self._free = list(reversed(range(num_blocks)))
        self._is_free = [True] * num_blocks

    @property
    def num_blocks(self) -> int:
        return self._num_blocks

    @property
    def num_free(self) -> int:
        return len(self._free)

    @property
    def num_taken(self) -> int:
        return self._num_blocks - len(self._free)

    def take(self, count: int) -> list[int]:
        """Takes `count` blocks.

        Raises:
            OutOfBlocksError: fewer are free; none is taken then.
            ValueError: `count` is negative.
        """
        if count < 0:
            raise ValueError(f"count must be >= 0, got {count}")
        if count > len(self._free):
            raise OutOfBlocksError(
                f"{count} blocks wanted, {len(self._free)} of {self._num_blocks} are free"
            )
        blocks = [self._free.pop() for _ in range(count)]
        for block in blocks:
            self._is_free[block] = False
        return blocks

    def give_back(self, blocks: Iterable[int]) -> None:
        """Frees blocks that were taken.

        Raises:
            ValueError: a block is free already, comes twice, or does not exist; none is freed then.
        """
        blocks = list(blocks)
        for block in blocks:
            if not 0 <= block < self._num_blocks:
                raise ValueError(f"block {block} is not in a pool of {self._num_blocks}")
            if self._is_free[block]:
                raise ValueError(f"block {block} is free already")
        if len(set(blocks)) != len(blocks):
            raise ValueError(f"a block is given back twice in {blocks}")
        for block in reversed(blocks):
            self._is_free[block] = True
            self._free.append(block)
