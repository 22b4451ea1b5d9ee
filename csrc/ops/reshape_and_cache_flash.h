// reshape_and_cache_flash: from the operator's arguments to the kernel's parameters.
#ifndef STABLEKV_CSRC_OPS_RESHAPE_AND_CACHE_FLASH_H_
#define STABLEKV_CSRC_OPS_RESHAPE_AND_CACHE_FLASH_H_

#include "csrc/kernels/cache/reshape_and_cache_flash.h"
#include "csrc/kernels/common/status.h"
#include "csrc/ops/key_and_value.h"

namespace stablekv {

// Caches are [num_blocks, block_size, num_heads, head_size], scales of one element or num_heads.
// Checks everything that can be known without reading memory, then fills `params`. Tensors must
// outlive it. Zero tokens are fine.
Status PrepareReshapeAndCacheFlash(const KeyAndValueArgs& args, ReshapeAndCacheFlashParams* params);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_OPS_RESHAPE_AND_CACHE_FLASH_H_
