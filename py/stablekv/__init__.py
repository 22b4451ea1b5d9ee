"""stablekv: paged attention and the KV cache that it reads, on CPU and CUDA.

Importing the package loads its operators, which are then also at `torch.ops._C` and
`torch.ops._C_cache_ops`.

They are for inference: no gradients flow through them, and autograd does not see what they write. A
backward pass must need neither their results nor what was in their outputs before.
"""

from stablekv import _command
from stablekv._version import __version__

if not _command.is_running():
    from stablekv import (
        fakes,
        layouts,
        reference,
        reference_convert,
        reference_flash,
        reference_gather,
        reference_merge,
        reference_mla,
        reference_nvfp4,
        reference_swap,
    )
    from stablekv.attention import (
        BlockSparse,
        paged_attention,
        paged_attention_v1,
        paged_attention_v2,
    )
    from stablekv.block_pool import BlockPool, OutOfBlocksError
    from stablekv.cache import reshape_and_cache, reshape_and_cache_flash
    from stablekv.convert import convert_fp8
    from stablekv.gather import (
        cp_gather_and_upconvert_fp8_kv_cache,
        cp_gather_cache,
        cp_gather_indexer_k_quant_cache,
        gather_and_maybe_dequant_cache,
    )
    from stablekv.kv_cache import Batch, KVCache, UnknownSequenceError
    from stablekv.merge import merge_attn_states
    from stablekv.mla import (
        concat_and_cache_mla,
        concat_and_cache_mla_rope_fused,
        concat_mla_q,
        indexer_k_quant_and_cache,
    )
    from stablekv.swap import swap_blocks, swap_blocks_batch

    fakes.register()

__all__ = [
    "Batch",
    "BlockPool",
    "BlockSparse",
    "KVCache",
    "OutOfBlocksError",
    "UnknownSequenceError",
    "__version__",
    "concat_and_cache_mla",
    "concat_and_cache_mla_rope_fused",
    "concat_mla_q",
    "convert_fp8",
    "cp_gather_and_upconvert_fp8_kv_cache",
    "cp_gather_cache",
    "cp_gather_indexer_k_quant_cache",
    "gather_and_maybe_dequant_cache",
    "indexer_k_quant_and_cache",
    "layouts",
    "merge_attn_states",
    "paged_attention",
    "paged_attention_v1",
    "paged_attention_v2",
    "reference",
    "reference_convert",
    "reference_flash",
    "reference_gather",
    "reference_merge",
    "reference_mla",
    "reference_nvfp4",
    "reference_swap",
    "reshape_and_cache",
    "reshape_and_cache_flash",
    "swap_blocks",
    "swap_blocks_batch",
]
