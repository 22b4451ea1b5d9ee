"""The loaded operators. Importing this module loads the library."""

from __future__ import annotations

import torch

from stablekv import _loader
from stablekv._operators import ATTENTION_NAMESPACE, CACHE_NAMESPACE

PATH = _loader.load()

_attention = getattr(torch.ops, ATTENTION_NAMESPACE)
_cache = getattr(torch.ops, CACHE_NAMESPACE)

paged_attention_v1 = _attention.paged_attention_v1.default
paged_attention_v2 = _attention.paged_attention_v2.default
concat_and_cache_mla = _cache.concat_and_cache_mla.default
concat_and_cache_mla_rope_fused = _cache.concat_and_cache_mla_rope_fused.default
concat_mla_q = _cache.concat_mla_q.default
indexer_k_quant_and_cache = _cache.indexer_k_quant_and_cache.default
reshape_and_cache = _cache.reshape_and_cache.default
reshape_and_cache_flash = _cache.reshape_and_cache_flash.default
swap_blocks = _cache.swap_blocks.default
cp_gather_and_upconvert_fp8_kv_cache = _cache.cp_gather_and_upconvert_fp8_kv_cache.default
cp_gather_cache = _cache.cp_gather_cache.default
cp_gather_indexer_k_quant_cache = _cache.cp_gather_indexer_k_quant_cache.default
gather_and_maybe_dequant_cache = _cache.gather_and_maybe_dequant_cache.default
merge_attn_states = _attention.merge_attn_states.default
swap_blocks_batch = _cache.swap_blocks_batch.default
convert_fp8 = _cache.convert_fp8.default
