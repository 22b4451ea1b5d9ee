"""The decode shapes that are measured: three models' heads, four batches, three contexts."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from stablekv import layouts

_HEADS = ((32, 8), (32, 32), (8, 1))  # a group of four, no groups, a shard of a large model
_BATCHES = (1, 16, 64, 256)
_CONTEXTS = (512, 4096, 16384)
_MOST_BYTES = 16 << 30


@dataclass(frozen=True)
class DecodeCase:
    """One decode step: `batch` sequences of `context` tokens, or of lengths spread up to that."""

    batch: int
    context: int
    num_heads: int
    num_kv_heads: int
    kv_cache_dtype: str = "auto"
    head_size: int = 128
    block_size: int = 16
    dtype: torch.dtype = torch.bfloat16
    ragged: bool = False
    version: str = "auto"  # or v1, v2: that operator, instead of paged_attention
    # What the call says no sequence is longer than, as in a graph that is captured once for all
    # lengths; 0: the longest one's length.
    stated_length: int = 0

    @property
    def name(self) -> str:
        stored = layouts.dtype_name(self.dtype)
        if self.is_fp8:
            stored += f"+{self.kv_cache_dtype}"
        words = [f"decode/{self.num_heads}-{self.num_kv_heads}", f"b{self.batch}"]
        words += [f"c{self.context}{'r' if self.ragged else ''}", stored]
        if self.stated_length:
            words.append(f"m{self.stated_length}")
        if self.head_size != 128:
            words.append(f"d{self.head_size}")
        if self.version != "auto":
            words.append(self.version)
        return "/".join(words)

    @property
    def is_fp8(self) -> bool:
        """Whether the cache holds fp8."""
        return layouts.is_fp8(self.kv_cache_dtype)

    @property
    def cache_dtype(self) -> torch.dtype:
        """What the elements of the cache are; fp8 by its own name."""
        return layouts.FP8_FORMATS.get(self.kv_cache_dtype, self.dtype)

    @property
    def seq_lens(self) -> list[int]:
        """Tokens of each sequence. Ragged: evenly from context / 64 to context, shuffled."""
        if not self.ragged:
            return [self.context] * self.batch
        lengths = torch.linspace(self.context / 64, self.context, self.batch).int()
        return lengths[
            torch.randperm(self.batch, generator=torch.Generator().manual_seed(0))
        ].tolist()

    @property
    def pages(self) -> list[int]:
        """Blocks of the cache that each sequence has."""
        return [-(-length // self.block_size) for length in self.seq_lens]

    @property
    def max_seq_len(self) -> int:
        """The argument of that name."""
        return max(self.stated_length, *self.seq_lens)

    @property
    def kv_bytes(self) -> int:
        """Bytes of the keys and values that a step reads."""
        stored = layouts.storage_dtype(self.kv_cache_dtype, self.dtype)
        return 2 * sum(self.seq_lens) * self.num_kv_heads * self.head_size * stored.itemsize


def _grid() -> list[DecodeCase]:
    cases = []
    for kv_cache_dtype in ("auto", "fp8"):
        for heads in _HEADS:
            shapes = [(b, c) for c in _CONTEXTS for b in _BATCHES]
            cases += [DecodeCase(b, c, *heads, kv_cache_dtype=kv_cache_dtype) for b, c in shapes]
            if heads != (32, 32):
                cases.append(
                    DecodeCase(64, 16384, *heads, kv_cache_dtype=kv_cache_dtype, ragged=True)
                )
    # A case too large for 16-bit elements is left out in fp8 too: alone it would compare nothing.
    sizes = {c.name: replace(c, kv_cache_dtype="auto").kv_bytes for c in cases}
    return [c for c in cases if sizes[c.name] <= _MOST_BYTES]


_LARGE = DecodeCase(64, 4096, 32, 8)
_LONG = DecodeCase(1, 16384, 32, 8)

# Lengths that no block size divides, as most are.
_ODD = [
    DecodeCase(batch, context, *heads)
    for batch, context, heads in (
        (1, 509, (32, 8)),
        (1, 4093, (32, 8)),
        (64, 4093, (32, 8)),
        (1, 4093, (8, 1)),
        (16, 4093, (8, 1)),
    )
]
# Few sequences, also of different lengths, and calls that are captured before lengths are known.
_FEW = [
    DecodeCase(batch, 16384, *heads)
    for batch, heads in ((2, (32, 8)), (2, (8, 1)), (4, (8, 1)), (8, (8, 1)))
]
_UNEVEN = [
    DecodeCase(batch, 16384, *heads, ragged=True)
    for batch, heads in ((4, (32, 8)), (16, (32, 8)), (4, (32, 32)), (4, (8, 1)), (16, (8, 1)))
]
_CAPTURED = [
    DecodeCase(batch, context, *heads, ragged=ragged, stated_length=131072)
    for batch, context, heads, ragged in (
        (1, 4096, (32, 8), False),
        (4, 4096, (32, 8), False),
        (1, 4096, (8, 1), False),
        (16, 4096, (8, 1), False),
        (16, 16384, (8, 1), True),
        (64, 16384, (8, 1), True),
    )
]

GRID = _grid()
# Other head sizes, dtypes and versions, each at one shape.
OTHERS = [
    *(replace(_LARGE, head_size=n) for n in layouts.HEAD_SIZES if n != 128),
    *(replace(_LARGE, dtype=dtype) for dtype in (torch.float16, torch.float32)),
    replace(_LARGE, kv_cache_dtype="fp8_e5m2"),
    *(
        replace(c, kv_cache_dtype=n)
        for n in ("auto", "fp8")
        for c in (*_ODD, *_FEW, *_UNEVEN, *_CAPTURED)
    ),
    *(replace(_LONG, version=version) for version in ("v1", "v2")),
    *(replace(_LONG, version=version, num_heads=8, num_kv_heads=1) for version in ("v1", "v2")),
]
# What two cores can do.
CPU = [
    DecodeCase(8, 2048, heads, kv_heads, kv_cache_dtype=stored, dtype=dtype)
    for heads, kv_heads in ((16, 8), (32, 8), (64, 8), (32, 32))
    for dtype, stored in (
        (torch.float32, "auto"),
        (torch.bfloat16, "auto"),
        (torch.bfloat16, "fp8"),
    )
]


def small(case: DecodeCase) -> DecodeCase:
    """The same kind of case, small enough for a test."""
    return replace(
        case,
        batch=min(case.batch, 3),
        context=min(case.context, 320),
        stated_length=min(case.stated_length, 1000),
    )
