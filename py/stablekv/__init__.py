"""stablekv: paged attention and the KV cache that it reads, on CPU and CUDA.

Importing the package loads its operators, which are then also at `torch.ops._C` and
`torch.ops._C_cache_ops`.
"""

from stablekv import fakes, layouts, reference
from stablekv.attention import (
    BlockSparse,
    paged_attention,
    paged_attention_v1,
    paged_attention_v2,
)
from stablekv.block_pool import BlockPool, OutOfBlocksError
from stablekv.cache import reshape_and_cache
from stablekv.kv_cache import Batch, KVCache, UnknownSequenceError

__version__ = "0.1.0"

__all__ = [
    "Batch",
    "BlockPool",
    "BlockSparse",
    "KVCache",
    "OutOfBlocksError",
    "UnknownSequenceError",
    "__version__",
    "layouts",
    "paged_attention",
    "paged_attention_v1",
    "paged_attention_v2",
    "reference",
    "reshape_and_cache",
]

fakes.register()
