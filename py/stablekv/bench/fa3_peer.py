"""FlashAttention-3's forward kernel on the same pages, where it is installed."""

from __future__ import annotations

from collections.abc import Callable

import torch

from stablekv.bench.decode import DecodeData
from stablekv.bench.peer_work import is_for, peer_work, tokens_first
from stablekv.bench.work import Work


def fa3_peers(data: DecodeData) -> dict[str, Callable[[], Work]]:
    """By name; none where FlashAttention-3 is not installed or has no kernel for the case."""
    if not is_for("flash_attn_interface", data) or data.case.kv_cache_dtype == "fp8_e5m2":
        return {}
    return {"fa3, fp8 queries" if data.case.is_fp8 else "fa3": lambda: fa3_work(data)}


def fa3_work(data: DecodeData) -> Work:
    """What it schedules is worked out once, outside of what is timed, as a server does it once a
    step. Of an fp8 cache it takes only fp8 queries.
    """
    import flash_attn_interface as fa3

    case, device = data.case, data.query.device
    scales = {}
    if case.is_fp8:
        shape = (case.batch, case.num_kv_heads)
        ones = torch.ones(shape, dtype=torch.float32, device=device)
        scales = {
            "q_descale": ones,
            "k_descale": ones * data.k_scale,
            "v_descale": ones * data.v_scale,
        }
    metadata = fa3.get_scheduler_metadata(
        case.batch,
        1,
        case.max_seq_len,
        case.num_heads,
        case.num_kv_heads,
        case.head_size,
        data.seq_lens,
        qkv_dtype=case.cache_dtype,
        page_size=case.block_size,
        causal=True,
    )
    query = data.query.unsqueeze(1).to(case.cache_dtype)
    tables = data.stated_tables()

    def attend(keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        out = fa3.flash_attn_with_kvcache(
            query,
            keys,
            values,
            cache_seqlens=data.seq_lens,
            page_table=tables,
            causal=True,
            scheduler_metadata=metadata,
            **scales,
        )
        return out.squeeze(1)

    layers = [tokens_first(data, layer) for layer in range(len(data.caches))]
    return peer_work(data, layers, attend, rounds_queries=True)
