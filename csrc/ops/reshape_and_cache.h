// reshape_and_cache: from the operator's arguments to the kernel's parameters.
#ifndef STABLEKV_CSRC_OPS_RESHAPE_AND_CACHE_H_
#define STABLEKV_CSRC_OPS_RESHAPE_AND_CACHE_H_

#include "csrc/kernels/cache/reshape_and_cache.h"
#include "csrc/kernels/common/status.h"
#include "csrc/ops/key_and_value.h"

namespace stablekv {

// Caches are [num_blocks, num_heads, head_size / x, block_size, x] and [num_blocks, num_heads,
// head_size, block_size], scales of one element. Checks everything that can be known without
// reading memory, then fills `params`. Tensors must outlive it. Zero tokens are fine.
Status PrepareReshapeAndCache(const KeyAndValueArgs& args, ReshapeAndCacheParams* params);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_OPS_RESHAPE_AND_CACHE_H_
