"""The table's part on copies of blocks."""

from __future__ import annotations

import stablekv
import torch

from tests.support import swap
from tests.support.changes import assign, put
from tests.support.contract import Arguments, Operator, Refusal, Row, Variant
from tests.support.swap import SwapCase

_ANY_DTYPE = (
    torch.uint8,
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.float8_e4m3fn,
    torch.float8_e5m2,
    torch.int64,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.bool,
    torch.uint16,
    torch.uint32,
    torch.uint64,
    torch.float8_e4m3fnuz,
    torch.float8_e5m2fnuz,
    torch.float8_e8m0fnu,
    torch.complex32,
    torch.complex64,
    torch.complex128,
)


def _build(_: Variant, device: str) -> Arguments:
    return swap.arguments_of(SwapCase(), device, device)


def _half_a_block_further(arguments: Arguments) -> None:
    memory = arguments["dst"].flatten()
    arguments["src"], arguments["dst"] = memory[: 6 * 64], memory[32 : 32 + 6 * 64]
    arguments["block_mapping"] = torch.tensor([[5, 0], [2, 1], [1, 1]])


def _with(row: int, column: int, block: int, name: str) -> Refusal:
    return Refusal(
        f"{name}-block-{block}",
        ("block_mapping",),
        put("block_mapping", (row, column), block),
    )


SWAP_BLOCKS = Operator(
    name="swap_blocks",
    namespace="_C_cache_ops",
    rows=(
        Row("src", "", _ANY_DTYPE, free=True, home="any"),
        Row("dst", "", _ANY_DTYPE, free=True, home="any", written=True),
        Row("block_mapping", "num_copies? 2", torch.int64, gaps=2, home="cpu"),
    ),
    build=_build,
    call=stablekv.swap_blocks,
    check=swap.check,
    build_empty=lambda device: swap.arguments_of(SwapCase(mapping=()), device, device),
    may_share=frozenset({"src", "dst"}),
    refusals=(
        *(
            Refusal(
                f"block_size_in_bytes-{n}", ("block_size_in_bytes",), assign(block_size_in_bytes=n)
            )
            for n in (0, -1, -(2**63))
        ),
        *(
            Refusal(f"block_size_in_bytes-{n}", ("block_mapping",), assign(block_size_in_bytes=n))
            for n in (65, 449, 2**62, 2**63 - 1)
        ),
        *(_with(3, 0, n, "src") for n in (-1, 6, 2**58, 2**63 - 1)),
        *(_with(3, 1, n, "dst") for n in (-1, 7, 2**58, 2**63 - 1)),
        Refusal("blocks-of-a-row-overlap", ("block_mapping",), _half_a_block_further),
    ),
)

SWAP_OPERATORS = (SWAP_BLOCKS,)
