"""The keys and values of many sequences, for all layers of a model, in blocks of one pool."""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import SupportsIndex

import torch

from stablekv import attention, cache, layouts
from stablekv._numbers import INT32_MAX, whole_number, whole_numbers
from stablekv.block_pool import BlockPool, OutOfBlocksError

# Fills the table of a shorter sequence up to the width of a batch; never read by the operators.
_NO_BLOCK = -1


class UnknownSequenceError(LookupError):
    """A sequence that was freed or never added. Nothing has changed."""


@dataclass(frozen=True, eq=False)
class Batch:
    """What the operators need to know of some sequences, as tensors on the device of the cache.

    A snapshot: tokens that are appended later are not in it. Of use to the KVCache that made it,
    and to no other nor to a copy, but the tensors may be handed to the operators.
    """

    sequences: tuple[int, ...]
    slot_mapping: torch.Tensor  # [new tokens] int64, sequence after sequence
    block_tables: torch.Tensor  # [num_seqs, blocks of the longest] int32
    seq_lens: torch.Tensor  # [num_seqs] int32, new tokens included
    max_seq_len: int  # tokens of the longest, or the cache's max_seq_len
    num_freed: int = field(repr=False)  # sequences that the cache had freed before
    owner: object = field(repr=False)  # stands for the cache


@dataclass(slots=True)
class _Sequence:
    """Not changed: an append makes another."""

    length: int = 0  # tokens
    blocks: array = field(default_factory=lambda: array("i"))


class KVCache:
    """A paged cache: add sequences, append tokens, write and attend layer by layer, free.

        kv = KVCache(num_layers=30, num_blocks=1024, num_kv_heads=3, head_size=64)
        sequence = kv.add()
        batch = kv.append([sequence], [prompt_length])        # room for the prompt
        for layer in ...:
            kv.write(layer, key, value, batch)                # [prompt_length, 3, 64] each
        batch = kv.append([sequence])                         # room for one token more
        for layer in ...:
            kv.write(layer, key, value, batch)                # [1, 3, 64] each
            out = kv.attend(layer, query, batch)              # [1, num_heads, 64]
        kv.free(sequence)

    Sequences share the pool and need not be of one length; a sequence has the same blocks in every
    layer. Bookkeeping is on the host; only `append` and `batch` copy to the device. Numbers of
    sequences, tokens and layers are whole ones of any kind; a TypeError names one that is not.

    With `max_seq_len` the block tables of all batches are of one width and their max_seq_len is
    that: what torch.compile or a CUDA graph has of one batch then fits every other of as many
    sequences. Without, both grow with the longest sequence, and each is compiled for anew. Compiled
    code does not check whether sequences of a batch were freed: give it none that was.
    """

    def __init__(
        self,
        *,
        num_layers: int,
        num_blocks: int,
        num_kv_heads: int,
        head_size: int,
        block_size: int = 16,
        dtype: torch.dtype = torch.float32,
        kv_cache_dtype: str = "auto",
        k_scale: float | Sequence[float] | torch.Tensor = 1.0,
        v_scale: float | Sequence[float] | torch.Tensor = 1.0,
        device: torch.device | str = "cpu",
        max_seq_len: int | None = None,
    ) -> None:
        """Allocates the cache, zeroed, with no sequences in it.

        Args:
            num_layers: layers of the model.
            num_blocks: blocks of the pool, for each layer.
            num_kv_heads: heads of keys and values.
            head_size: elements of a head; one of layouts.HEAD_SIZES.
            block_size: tokens of a block: 8, 16 or 32.
            dtype: of queries, keys and values: float32, float16 or bfloat16.
            kv_cache_dtype: "auto" stores elements as they are; "fp8" (e4m3) and "fp8_e5m2" in a
                byte.
            k_scale, v_scale: for fp8, the value that one stored unit stands for; one for all
                layers, or one a layer; numbers or a tensor.
            device: of the cache.
            max_seq_len: tokens that no sequence may be longer than, for batches of one shape; no
                limit when None.

        Raises:
            TypeError: a number is no whole number, or a scale no number.
            ValueError: an argument that the operators do not take.
        """
        num_layers = whole_number("num_layers", num_layers, 1)
        if max_seq_len is not None:
            max_seq_len = whole_number("max_seq_len", max_seq_len, 1, INT32_MAX)
        self._pool = BlockPool(num_blocks)
        self._max_seq_len = max_seq_len
        self._dtype = dtype
        self._sequences: dict[int, _Sequence] = {}
        self._next_sequence = 0
        self._num_freed = 0
        self._owner = object()
        self._block_size = whole_number("block_size", block_size)
        self._kv_cache_dtype = kv_cache_dtype
        self._layers = [
            layouts.allocate_cache(
                num_blocks,
                num_kv_heads,
                head_size,
                block_size,
                dtype=dtype,
                kv_cache_dtype=kv_cache_dtype,
                device=device,
            )
            for _ in range(num_layers)
        ]
        self._device = self._layers[0][0].device
        self._k_scales = self._scales("k_scale", k_scale)
        self._v_scales = self._scales("v_scale", v_scale)

    @property
    def block_size(self) -> int:
        """Tokens of a block."""
        return self._block_size

    @property
    def dtype(self) -> torch.dtype:
        """Of queries, keys and values."""
        return self._dtype

    @property
    def kv_cache_dtype(self) -> str:
        """How keys and values are stored, as the operators take it."""
        return self._kv_cache_dtype

    @property
    def device(self) -> torch.device:
        return self._device

    @property
    def num_layers(self) -> int:
        return len(self._layers)

    @property
    def num_blocks(self) -> int:
        return self._pool.num_blocks

    @property
    def num_free_blocks(self) -> int:
        return self._pool.num_free

    @property
    def num_used_blocks(self) -> int:
        return self._pool.num_taken

    @property
    def num_bytes(self) -> int:
        """Bytes of the cache tensors of all layers."""
        return sum(t.numel() * t.element_size() for layer in self._layers for t in layer)

    def add(self) -> int:
        """Adds a sequence of no tokens, and returns its number; numbers are not used again."""
        sequence = self._next_sequence
        self._next_sequence += 1
        self._sequences[sequence] = _Sequence()
        return sequence

    def length(self, sequence: int) -> int:
        """Tokens of a sequence.

        Raises:
            UnknownSequenceError: there is no such sequence.
        """
        return self._find(sequence).length

    def blocks_needed(self, sequence: int, num_tokens: int = 1) -> int:
        """Blocks that appending `num_tokens` tokens to a sequence would take from the pool.

        Raises:
            UnknownSequenceError: there is no such sequence.
            ValueError: `num_tokens` is negative.
        """
        return self._more_blocks(self._find(sequence), whole_number("num_tokens", num_tokens, 0))

    def append(self, sequences: Iterable[int], num_tokens: Iterable[int] | int = 1) -> Batch:
        """Makes room for new tokens at the end of sequences.

        Args:
            sequences: different ones; their order is the order of the batch.
            num_tokens: new tokens of each, or of all.

        Returns:
            The sequences with their new tokens; `slot_mapping` has a slot for each of these, those
            of the first sequence first.

        Raises:
            OutOfBlocksError: the pool has too few free blocks for all of them.
            UnknownSequenceError: there is no such sequence.
            ValueError: a sequence comes twice, a number of tokens is negative or missing, or a
                sequence would be longer than max_seq_len.
            Nothing has changed then, nor when the batch cannot be made.
        """
        states = self._find_all(sequences)
        counts = _numbers_of_tokens(num_tokens, len(states))
        if len(counts) != len(states):
            raise ValueError(
                f"num_tokens must have one number for each of {len(states)} sequences, "
                f"got {len(counts)}"
            )
        if any(count < 0 for count in counts):
            raise ValueError(f"num_tokens must be >= 0, got {counts}")
        self._check_lengths(states, counts)
        wanted = [self._more_blocks(*pair) for pair in zip(states.values(), counts, strict=True)]
        try:
            blocks = self._pool.take(sum(wanted))
        except OutOfBlocksError as error:
            raise OutOfBlocksError(
                f"no room for {sum(counts)} more tokens in {len(states)} sequences: {error} "
                f"({self._block_size} tokens each)"
            ) from None

        try:
            longer, slots = self._longer(states, counts, wanted, blocks)
            batch = self._batch(longer, slots)
        except BaseException:
            self._pool.give_back(blocks)
            raise
        self._sequences.update(longer)  # now that nothing can fail any more
        return batch

    def batch(self, sequences: Iterable[int]) -> Batch:
        """The sequences as they are, without new tokens.

        Raises:
            UnknownSequenceError: there is no such sequence.
            ValueError: a sequence comes twice.
        """
        return self._batch(self._find_all(sequences), array("q"))

    def free(self, sequence: int) -> None:
        """Removes a sequence and gives its blocks back to the pool.

        Raises:
            UnknownSequenceError: there is no such sequence, because it was freed already or never
                added.
        """
        sequence = whole_number("sequence", sequence)
        blocks = self._find(sequence).blocks
        del self._sequences[sequence]
        self._pool.give_back(blocks)
        self._num_freed += 1

    def write(self, layer: int, key: torch.Tensor, value: torch.Tensor, batch: Batch) -> None:
        """Stores the keys and values of a batch's new tokens in one layer.

        Args:
            layer: number of the layer.
            key, value: [new tokens, num_kv_heads, head_size], in the order of
                `batch.slot_mapping`, and of the dtype of the cache's model.
            batch: from `append`.

        Raises:
            RuntimeError: as stablekv.reshape_and_cache; nothing is written.
            UnknownSequenceError: a sequence of the batch has been freed since; not in compiled
                code, which does not check it.
            ValueError: there is no such layer, `key` or `value` has not one token for each new
                token of the batch, `key` is of another dtype than the cache's, or the batch is
                another cache's.
        """
        self._check_layer(layer)
        self._check_dtype("key", key)
        self._check_current(batch)
        num_tokens = batch.slot_mapping.shape[0]
        for name, tensor in (("key", key), ("value", value)):
            if tensor.dim() > 0 and tensor.shape[0] != num_tokens:
                raise ValueError(
                    f"{name} must have {num_tokens} tokens, one for each new token of the batch, "
                    f"got {tensor.shape[0]}"
                )
        key_cache, value_cache = self._layers[layer]
        cache.reshape_and_cache(
            key,
            value,
            key_cache,
            value_cache,
            batch.slot_mapping,
            self._kv_cache_dtype,
            self._k_scales[layer],
            self._v_scales[layer],
        )

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        batch: Batch,
        *,
        scale: float | None = None,
        alibi_slopes: torch.Tensor | None = None,
        out: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Attends from one query token of each sequence to the whole sequence, in one layer.

        Several query tokens of one sequence, as of a chunk of its prompt or of a draft, are several
        sequences to stablekv.paged_attention: its row of `block_tables` for each, and in `seq_lens`
        the tokens up to each.

        Args:
            layer: number of the layer.
            query: [num_seqs, num_heads, head_size], in the order of the batch.
            batch: from `append` or `batch`.
            scale, alibi_slopes, out: as for stablekv.paged_attention.

        Returns:
            [num_seqs, num_heads, head_size], the dtype of `query`.

        Raises:
            RuntimeError: as stablekv.paged_attention.
            UnknownSequenceError: a sequence of the batch has been freed since; not in compiled
                code, which does not check it.
            ValueError: there is no such layer, `query` has not one token for each sequence or is of
                another dtype than the cache's, or the batch is another cache's.
        """
        self._check_layer(layer)
        self._check_dtype("query", query)
        self._check_current(batch)
        if query.dim() == 3 and query.shape[0] != len(batch.sequences):
            raise ValueError(
                f"query must have {len(batch.sequences)} tokens, one for each sequence of the "
                f"batch, got {query.shape[0]}"
            )
        key_cache, value_cache = self._layers[layer]
        return attention.paged_attention(
            query,
            key_cache,
            value_cache,
            batch.block_tables,
            batch.seq_lens,
            scale=scale,
            max_seq_len=batch.max_seq_len,
            alibi_slopes=alibi_slopes,
            kv_cache_dtype=self._kv_cache_dtype,
            k_scale=self._k_scales[layer],
            v_scale=self._v_scales[layer],
            out=out,
        )

    def tensors(self, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The key cache and value cache of a layer, for code that calls the operators itself.

        Raises:
            ValueError: there is no such layer.
        """
        self._check_layer(layer)
        return self._layers[layer]

    def _find(self, sequence: int) -> _Sequence:
        state = self._sequences.get(whole_number("sequence", sequence))
        if state is None:
            raise UnknownSequenceError(
                f"sequence {sequence} is not in the cache: freed already, or never added"
            )
        return state

    def _find_all(self, sequences: Iterable[int]) -> dict[int, _Sequence]:
        """By number, in their order. Reads `sequences` once: it may be an iterator."""
        numbers = whole_numbers("sequences", sequences)
        if len(set(numbers)) != len(numbers):
            raise ValueError(f"a sequence comes twice in {numbers}")
        return {number: self._find(number) for number in numbers}

    def _more_blocks(self, state: _Sequence, num_tokens: int) -> int:
        return -(-(state.length + num_tokens) // self._block_size) - len(state.blocks)

    def _check_lengths(self, states: dict[int, _Sequence], counts: list[int]) -> None:
        if self._max_seq_len is None:
            return
        for (sequence, state), count in zip(states.items(), counts, strict=True):
            if state.length + count > self._max_seq_len:
                raise ValueError(
                    f"sequence {sequence} must have at most max_seq_len = {self._max_seq_len} "
                    f"tokens, got {state.length} + {count}"
                )

    def _longer(
        self,
        states: dict[int, _Sequence],
        counts: list[int],
        wanted: list[int],
        blocks: list[int],
    ) -> tuple[dict[int, _Sequence], array]:
        """The sequences with their new tokens and blocks, and the slots of those tokens."""
        longer: dict[int, _Sequence] = {}
        slots = array("q")
        more = iter(blocks)
        for (number, state), count, taken in zip(states.items(), counts, wanted, strict=True):
            table = state.blocks
            if taken:
                table = table + array("i", itertools.islice(more, taken))
            length = state.length + count
            for position in range(state.length, length):
                block, offset = divmod(position, self._block_size)
                slots.append(table[block] * self._block_size + offset)
            longer[number] = _Sequence(length, table)
        return longer, slots

    def _check_dtype(self, name: str, tensor: torch.Tensor) -> None:
        if tensor.dtype != self._dtype:
            raise ValueError(
                f"{name} must be {self._dtype}, as the cache is for, got {tensor.dtype}"
            )

    def _batch(self, states: dict[int, _Sequence], slots: array) -> Batch:
        lengths = array("i", [state.length for state in states.values()])
        longest = max(lengths, default=0)
        width = max((len(state.blocks) for state in states.values()), default=0)
        if self._max_seq_len is not None:
            longest = self._max_seq_len
            width = -(-longest // self._block_size)
        rows = array("i")
        for state in states.values():
            rows.extend(state.blocks)
            rows.extend([_NO_BLOCK] * (width - len(state.blocks)))
        return Batch(
            sequences=tuple(states),
            slot_mapping=self._tensor(slots, torch.int64),
            block_tables=self._tensor(rows, torch.int32).view(len(states), width),
            seq_lens=self._tensor(lengths, torch.int32),
            max_seq_len=longest,
            num_freed=self._num_freed,
            owner=self._owner,
        )

    def _check_layer(self, layer: int) -> None:
        if not 0 <= whole_number("layer", layer) < len(self._layers):
            raise ValueError(f"layer must be in [0, {len(self._layers) - 1}], got {layer}")

    def _check_current(self, batch: Batch) -> None:
        """The blocks of a freed sequence are another one's, or will be."""
        if batch.owner is not self._owner:
            raise ValueError("batch must be of this KVCache, got one of another")
        # A number that changes with every departure would have compiled code made anew for it.
        if not torch.compiler.is_compiling() and batch.num_freed != self._num_freed:
            self._find_all(batch.sequences)

    def _tensor(self, values: array, dtype: torch.dtype) -> torch.Tensor:
        if not values:
            return torch.empty(0, dtype=dtype, device=self._device)
        host = torch.frombuffer(values, dtype=dtype)
        return host.clone() if self._device.type == "cpu" else host.to(self._device)

    def _scales(self, name: str, scale: float | Sequence[float] | torch.Tensor) -> torch.Tensor:
        try:
            values = torch.as_tensor(scale, dtype=torch.float32)
        except (RuntimeError, TypeError, ValueError):  # whichever torch has for what it is
            raise TypeError(
                f"{name} must be a number, a number for each layer or a tensor, got {scale!r}"
            ) from None
        if not bool((values.isfinite() & (values > 0)).all()):
            raise ValueError(f"{name} must be finite and > 0, got {scale}")
        values = values.to(self._device)
        if values.dim() == 0:
            return values.repeat(self.num_layers)
        if values.shape != (self.num_layers,):
            raise ValueError(
                f"{name} must have a value for each of {self.num_layers} layers, "
                f"got {' x '.join(map(str, values.shape))}"
            )
        return values.clone()


def _numbers_of_tokens(num_tokens: Iterable[int] | int, num_sequences: int) -> list[int]:
    """One for each sequence, whatever kind of whole numbers they are."""
    if isinstance(num_tokens, SupportsIndex) and getattr(num_tokens, "ndim", 0) == 0:
        return [whole_number("num_tokens", num_tokens)] * num_sequences
    return whole_numbers("num_tokens", num_tokens)
