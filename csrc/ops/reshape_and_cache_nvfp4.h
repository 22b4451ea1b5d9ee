// reshape_and_cache_flash with kv_cache_dtype "nvfp4": from the operator's arguments to the
// kernel's parameters.
#ifndef STABLEKV_CSRC_OPS_RESHAPE_AND_CACHE_NVFP4_H_
#define STABLEKV_CSRC_OPS_RESHAPE_AND_CACHE_NVFP4_H_

#include <string_view>

#include "csrc/kernels/cache/reshape_and_cache_nvfp4.h"
#include "csrc/kernels/common/status.h"
#include "csrc/ops/key_and_value.h"

namespace stablekv {

inline constexpr std::string_view kNvfp4 = "nvfp4";

// For args.kv_cache_dtype == kNvfp4. Caches are uint8 of [num_blocks, block_size, num_heads, 9 *
// head_size / 16]. Checks everything that can be known without reading memory, then fills `params`.
// Tensors must outlive it. Zero tokens are fine.
Status PrepareReshapeAndCacheNvfp4(const KeyAndValueArgs& args, ReshapeAndCacheNvfp4Params* params);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_OPS_RESHAPE_AND_CACHE_NVFP4_H_
