"""What else computes a decode step: competitors, each where it is installed and fits the case."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from stablekv.bench.decode import DecodeData
from stablekv.bench.fa3_peer import fa3_peers
from stablekv.bench.flashinfer_peers import flashinfer_peers
from stablekv.bench.peer_work import peer_work
from stablekv.bench.vllm_peer import vllm_peers
from stablekv.bench.work import Work

_SDPA = {
    "sdpa-flash": SDPBackend.FLASH_ATTENTION,
    "sdpa-cudnn": SDPBackend.CUDNN_ATTENTION,
}


def peers_of(data: DecodeData) -> dict[str, Callable[[], Work]]:
    """By name. Each is made when it is called, for it may need as much memory as the caches."""
    if data.case.version != "auto":
        return {}  # the same work as that of paged_attention
    return {
        **_dense_peers(data),
        **flashinfer_peers(data),
        **fa3_peers(data),
        **vllm_peers(data),
    }


def _dense_peers(data: DecodeData) -> dict[str, Callable[[], Work]]:
    # Dense attention takes neither fp8 nor sequences of different lengths.
    if data.case.ragged or data.case.kv_cache_dtype != "auto":
        return {}
    if data.query.device.type == "cpu":
        return {
            "sdpa, dense": lambda: _dense(data, None),
            "gather, then sdpa": lambda: _gathered(data),
        }
    peers = {name: _bound(data, backend) for name, backend in _SDPA.items()}
    peers["gather, then sdpa"] = lambda: _gathered(data)
    return peers


def _bound(data: DecodeData, backend: SDPBackend) -> Callable[[], Work]:
    return lambda: _dense(data, backend)


def _attend(
    data: DecodeData, keys: torch.Tensor, values: torch.Tensor, backend: SDPBackend | None
) -> torch.Tensor:
    def attend() -> torch.Tensor:
        query = data.query.unsqueeze(2)
        return functional.scaled_dot_product_attention(query, keys, values, enable_gqa=True)

    if backend is None:
        return attend().squeeze(2)
    with sdpa_kernel(backend):
        return attend().squeeze(2)


def _dense(data: DecodeData, backend: SDPBackend | None) -> Work:
    """Keys and values side by side as [batch, num_kv_heads, context, head_size]: no pages."""
    layers = []
    for layer in range(len(data.caches)):
        rows = [data.dense(layer, sequence) for sequence in range(data.case.batch)]
        layers.append([torch.stack(part).to(data.case.dtype) for part in zip(*rows, strict=True)])
    return peer_work(data, layers, lambda keys, values: _attend(data, keys, values, backend))


def _gathered(data: DecodeData) -> Work:
    """Pages gathered into dense keys and values first, as one does without a paged operator."""
    tables = data.used_tables().long()

    def step(key_cache: torch.Tensor, value_cache: torch.Tensor) -> torch.Tensor:
        keys = key_cache[tables].permute(0, 2, 1, 4, 3, 5).flatten(4).flatten(2, 3)
        values = value_cache[tables].permute(0, 2, 1, 4, 3).flatten(2, 3)
        context = data.case.context
        return _attend(data, keys[:, :, :context], values[:, :, :context], None)

    return peer_work(data, data.caches, step)
