"""The table's part on copies between addresses."""

from __future__ import annotations

import stablekv
import torch

from tests.support import swap_batch
from tests.support.changes import put
from tests.support.contract import Arguments, Operator, Refusal, Row, Variant


def _build(_: Variant, device: str) -> Arguments:
    return swap_batch.arguments_of(swap_batch.COPIES, device, device)


def _check(arguments: Arguments) -> None:
    start = swap_batch.memories("cpu", "cpu")[0].data_ptr()
    on_cpu = all(
        start <= int(source) < start + swap_batch.BYTES for source in arguments["src_ptrs"]
    )
    device = "cpu" if on_cpu else "cuda"
    swap_batch.check(arguments, device, device)


def _onto_itself(arguments: Arguments) -> None:
    arguments["dst_ptrs"][1] = arguments["src_ptrs"][1] + 4095


def _value(name: str, value: int) -> Refusal:
    return Refusal(f"{name}-{value}", (name,), put(name, (1,), value))


SWAP_BLOCKS_BATCH = Operator(
    name="swap_blocks_batch",
    namespace="_C_cache_ops",
    rows=tuple(
        Row(name, "num_copies", torch.int64, gaps=1, home="cpu")
        for name in ("src_ptrs", "dst_ptrs", "sizes")
    ),
    build=_build,
    call=stablekv.swap_blocks_batch,
    check=_check,
    build_empty=lambda device: swap_batch.arguments_of((), device, device),
    refusals=(
        *(_value("src_ptrs", n) for n in (0, -1, -(2**63), 2**63 - 4096)),
        *(_value("dst_ptrs", n) for n in (0, -1, -(2**63), 2**63 - 4096)),
        *(_value("sizes", n) for n in (-1, -(2**63))),
        Refusal("size-past-all-addresses", ("src_ptrs",), put("sizes", (1,), 2**63 - 1)),
        Refusal("a-copy-overlaps-itself", ("dst_ptrs",), _onto_itself),
    ),
    memory=lambda device: swap_batch.memories(device, device),
)
