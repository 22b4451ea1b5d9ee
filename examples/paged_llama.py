"""A transformers Llama that keeps its keys and values in a stablekv.KVCache.

The model's own modules do everything but attention, which transformers lets a caller replace. Keys
and values go to the cache in every layer; a prompt attends within itself, which needs no cache, and
each later token attends through the paged cache.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import stablekv
import torch
import transformers
from stablekv import layouts

VERSIONS = ("auto", "v1", "v2")

_ATTENTION = "stablekv"


class _Step(NamedTuple):
    """What attention needs to know of a forward pass, besides what the model tells it."""

    kv: stablekv.KVCache
    batch: stablekv.Batch
    attend: Callable[..., torch.Tensor] | None  # None: the tokens are a whole prompt


def new_cache(
    model: transformers.LlamaForCausalLM, *, num_blocks: int, block_size: int, kv_cache_dtype: str
) -> stablekv.KVCache:
    """A pool of `num_blocks` blocks for each layer of `model`, on the model's device.

    Raises:
        ValueError: the operators do not take the model's head size or dtype, or an argument.
    """
    return stablekv.KVCache(
        num_layers=model.config.num_hidden_layers,
        num_blocks=num_blocks,
        num_kv_heads=model.config.num_key_value_heads,
        head_size=model.config.head_dim,
        block_size=block_size,
        dtype=model.dtype,
        kv_cache_dtype=kv_cache_dtype,
        device=model.device,
    )


class PagedLlama:
    """Greedy decoding of sequences whose keys and values are in `kv`."""

    def __init__(
        self, model: transformers.LlamaForCausalLM, kv: stablekv.KVCache, version: str = "auto"
    ) -> None:
        """Makes `model` attend through `kv`: from here on it runs only through this object.

        Args:
            model: any Llama whose head size the operators take.
            kv: from `new_cache`.
            version: of the operator: "v1", "v2", or "auto" for KVCache.attend.
        """
        self.kv = kv
        self._model = model
        self._attend = kv.attend if version == "auto" else _Forced(kv, version).attend
        model.set_attn_implementation(_ATTENTION)

    def prefill(self, sequence: int, token_ids: list[int]) -> int:
        """Appends a prompt to an empty sequence, and returns the token that follows.

        Raises:
            stablekv.OutOfBlocksError: the pool has too few free blocks. Nothing has changed.
        """
        batch = self.kv.append([sequence], [len(token_ids)])
        positions = [list(range(len(token_ids)))]
        return self._forward([token_ids], positions, _Step(self.kv, batch, None))[0]

    def decode(self, sequences: list[int], token_ids: list[int]) -> list[int]:
        """Appends one token to each sequence, and returns the tokens that follow.

        Raises:
            stablekv.OutOfBlocksError: the pool has too few free blocks. Nothing has changed.
        """
        positions = [[self.kv.length(sequence)] for sequence in sequences]
        batch = self.kv.append(sequences)
        tokens = [[token] for token in token_ids]
        return self._forward(tokens, positions, _Step(self.kv, batch, self._attend))

    @torch.inference_mode()
    def _forward(
        self, token_ids: list[list[int]], positions: list[list[int]], step: _Step
    ) -> list[int]:
        output = self._model(
            input_ids=torch.tensor(token_ids, device=self._model.device),
            position_ids=torch.tensor(positions, device=self._model.device),
            use_cache=False,  # transformers' own cache
            logits_to_keep=1,
            stablekv_step=step,
        )
        return output.logits[:, -1].argmax(-1).tolist()


def _attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    scaling: float,
    stablekv_step: _Step,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attention as transformers calls it, in each layer.

    Args:
        query: [num_seqs, num_heads, num_tokens, head_size], with the positions rotated in.
        key, value: [num_seqs, num_kv_heads, num_tokens, head_size].

    Returns:
        [num_seqs, num_tokens, num_heads, head_size], and no weights.
    """
    kv, batch, attend = stablekv_step
    layer = module.layer_idx
    # One row a new token, sequence after sequence: one of the two dimensions has only one element.
    kv.write(layer, key.transpose(1, 2).flatten(0, 1), value.transpose(1, 2).flatten(0, 1), batch)
    if attend is not None:
        return attend(layer, query[:, :, 0], batch, scale=scaling)[:, None], None
    out = torch.nn.functional.scaled_dot_product_attention(
        query, key, value, is_causal=True, scale=scaling, enable_gqa=True
    )
    return out.transpose(1, 2), None


transformers.AttentionInterface.register(_ATTENTION, _attention)


class _Forced:
    """KVCache.attend by one version of the operator, where stablekv would choose."""

    def __init__(self, kv: stablekv.KVCache, version: str) -> None:
        if version not in VERSIONS[1:]:
            raise ValueError(f"version must be one of {', '.join(VERSIONS)}, got {version!r}")
        self._kv = kv
        self._version = version
        self._one = torch.ones((), device=kv.device)  # new_cache leaves the scales at one

    def attend(
        self, layer: int, query: torch.Tensor, batch: stablekv.Batch, *, scale: float
    ) -> torch.Tensor:
        key_cache, value_cache = self._kv.tensors(layer)
        out = torch.empty(query.shape, dtype=query.dtype, device=query.device)
        arguments = (
            query,
            key_cache,
            value_cache,
            key_cache.shape[1],
            scale,
            batch.block_tables,
            batch.seq_lens,
            self._kv.block_size,
            batch.max_seq_len,
            None,
            self._kv.kv_cache_dtype,
            self._one,
            self._one,
        )
        if self._version == "v1":
            stablekv.paged_attention_v1(out, *arguments)
        else:
            rows = (*query.shape[:2], layouts.num_partitions(batch.max_seq_len))
            sums, largest = query.new_empty((2, *rows), dtype=torch.float32)
            partial = query.new_empty((*rows, query.shape[2]))
            stablekv.paged_attention_v2(out, sums, largest, partial, *arguments)
        return out
