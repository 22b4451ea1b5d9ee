"""A decode step on random pages of a paged cache, its answer, and its competitors' view of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

import stablekv
from stablekv import layouts
from stablekv.bench.decode_cases import DecodeCase
from stablekv.bench.work import Work, WrongAnswer, copies_for

# Largest ||answer - exact|| / ||exact||, by the dtype of queries and output.
TOLERANCE = {torch.float32: 1e-5, torch.float16: 1e-3, torch.bfloat16: 3e-3}
# A competitor may round the weights of the softmax once more than we do.
PEER_SLACK = 2.0
# One that rounds queries and those weights to fp8 has an error of that format's.
FP8_QUERY_SLACK = 15.0
_KV_SCALES = (0.5, 0.25)  # of an fp8 cache


@dataclass(frozen=True)
class DecodeData:
    """Buffers of one case: every layer has caches of its own, the rest is shared."""

    case: DecodeCase
    query: torch.Tensor  # [batch, num_heads, head_size]
    caches: list[tuple[torch.Tensor, torch.Tensor]]  # of each layer: as reshape_and_cache writes
    block_tables: torch.Tensor
    seq_lens: torch.Tensor
    k_scale: torch.Tensor
    v_scale: torch.Tensor

    def used_tables(self) -> torch.Tensor:
        """Of the block tables the columns that a sequence has tokens for."""
        return self.block_tables[:, : max(self.case.pages)].contiguous()

    def stated_tables(self) -> torch.Tensor:
        """Of the block tables the columns that the call's longest length has."""
        return self.block_tables if self.case.stated_length else self.used_tables()

    def dense(self, layer: int, sequence: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of a sequence: [num_kv_heads, length, head_size] float32."""
        case, length = self.case, self.case.seq_lens[sequence]
        blocks = self.block_tables[sequence, : -(-length // case.block_size)].long()
        key_cache, value_cache = self.caches[layer]
        keys = _widened(key_cache[blocks], case).permute(1, 0, 3, 2, 4).flatten(3).flatten(1, 2)
        values = _widened(value_cache[blocks], case).permute(1, 0, 3, 2).flatten(1, 2)
        return keys[:, :length] * self.k_scale, values[:, :length] * self.v_scale


def make_data(case: DecodeCase, device: torch.device, layers: int | None = None) -> DecodeData:
    """Random queries, keys and values; every sequence's pages lie anywhere in the cache.

    `layers`: how many caches; as many as no cache of the device holds, when None.
    """
    random = torch.Generator(device).manual_seed(0)
    used = case.pages
    num_blocks = sum(used)
    order = torch.randperm(num_blocks, generator=random, device=device).int()
    columns = -(-case.max_seq_len // case.block_size)
    block_tables = torch.zeros(case.batch, columns, dtype=torch.int32, device=device)
    for sequence, blocks in enumerate(order.split(used)):
        block_tables[sequence, : len(blocks)] = blocks
    heads = (num_blocks, case.num_kv_heads, case.head_size, case.block_size)
    stored = layouts.storage_dtype(case.kv_cache_dtype, case.dtype)
    shapes = (layouts.key_cache_shape(*heads, stored), layouts.value_cache_shape(*heads))
    caches = [
        tuple(_random_cache(shape, case, random) for shape in shapes)
        for _ in range(layers or copies_for(case.kv_bytes, device))
    ]
    query = (case.batch, case.num_heads, case.head_size)
    scales = [torch.tensor(s if case.is_fp8 else 1.0, device=device) for s in _KV_SCALES]
    return DecodeData(
        case=case,
        query=torch.randn(query, generator=random, device=device).to(case.dtype),
        caches=caches,
        block_tables=block_tables,
        seq_lens=torch.tensor(case.seq_lens, dtype=torch.int32, device=device),
        k_scale=scales[0],
        v_scale=scales[1],
    )


def stablekv_work(data: DecodeData) -> Work:
    """The step by this library, layer after layer."""
    outputs = [torch.empty_like(data.query) for _ in data.caches]
    calls = [_call(data, layer, out) for layer, out in enumerate(outputs)]

    def check() -> None:
        for layer in {0, len(calls) - 1}:
            outputs[layer].fill_(float("nan"))
            calls[layer]()
            check_rows(data, layer, outputs[layer])

    return Work(calls, data.case.kv_bytes, check)


def _call(data: DecodeData, layer: int, out: torch.Tensor) -> Callable[[], object]:
    case, (key_cache, value_cache) = data.case, data.caches[layer]
    max_seq_len = case.max_seq_len
    if case.version == "auto":
        return lambda: stablekv.paged_attention(
            data.query,
            key_cache,
            value_cache,
            data.block_tables,
            data.seq_lens,
            max_seq_len=max_seq_len,
            kv_cache_dtype=case.kv_cache_dtype,
            k_scale=data.k_scale,
            v_scale=data.v_scale,
            out=out,
        )
    operator = getattr(stablekv, f"paged_attention_{case.version}")
    arguments = operator_arguments(data, case.version, out)
    return lambda: operator(*arguments(key_cache, value_cache))


def operator_arguments(
    data: DecodeData, version: str, out: torch.Tensor
) -> Callable[[torch.Tensor, torch.Tensor], tuple[Any, ...]]:
    """What `paged_attention_` of that version takes, given the caches of a layer, up to the scales.

    The scratch of v2 is that of all calls.
    """
    case = data.case
    scratch = []
    if version == "v2":
        rows = (*data.query.shape[:2], layouts.num_partitions(case.max_seq_len))
        sums = data.query.new_empty(rows, dtype=torch.float32)
        partial = data.query.new_empty((*rows, case.head_size))
        scratch = [sums, torch.empty_like(sums), partial]
    return lambda key_cache, value_cache: (
        out,
        *scratch,
        data.query,
        key_cache,
        value_cache,
        case.num_kv_heads,
        case.head_size**-0.5,
        data.block_tables,
        data.seq_lens,
        case.block_size,
        case.max_seq_len,
        None,  # ALiBi slopes
        case.kv_cache_dtype,
        data.k_scale,
        data.v_scale,
    )


def check_rows(data: DecodeData, layer: int, out: torch.Tensor, slack: float = 1.0) -> None:
    """Compares the first, last, shortest and longest sequence of `out` with exact attention.

    `slack` times the tolerance is allowed.
    """
    tolerance = slack * TOLERANCE[data.case.dtype]
    lengths = data.case.seq_lens
    by_length = sorted(range(len(lengths)), key=lengths.__getitem__)
    chosen = {by_length[0], by_length[-1], 0, len(lengths) - 1}
    for sequence in sorted(chosen):
        exact = _exact_row(data, layer, sequence)
        error = (out[sequence].float() - exact).norm() / exact.norm()
        if not error <= tolerance:  # NaN is wrong as well
            raise WrongAnswer(
                f"{data.case.name}: sequence {sequence} is off by {error:.2g} of its norm, "
                f"allowed {tolerance:.2g}"
            )


def _exact_row(data: DecodeData, layer: int, sequence: int) -> torch.Tensor:
    case = data.case
    keys, values = data.dense(layer, sequence)
    query = data.query[sequence].float().view(case.num_kv_heads, -1, case.head_size)
    scores = (query.double() @ keys.double().mT) * case.head_size**-0.5
    return (scores.softmax(dim=-1) @ values.double()).flatten(0, 1).float()


def _random_cache(
    shape: tuple[int, ...], case: DecodeCase, random: torch.Generator
) -> torch.Tensor:
    cache = torch.empty(shape, dtype=case.cache_dtype, device=random.device)
    for block in cache.split(max(1, len(cache) // 16)):  # the float32 copy shall be small
        block.copy_(torch.randn(block.shape, generator=random, device=random.device))
    return cache.view(torch.uint8) if case.is_fp8 else cache


def _widened(cache: torch.Tensor, case: DecodeCase) -> torch.Tensor:
    return cache.view(case.cache_dtype).float()
