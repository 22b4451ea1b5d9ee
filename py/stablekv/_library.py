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
reshape_and_cache = _cache.reshape_and_cache.default
