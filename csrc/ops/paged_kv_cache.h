// The pair of cache tensors that reshape_and_cache writes and paged attention reads.
#ifndef STABLEKV_CSRC_OPS_PAGED_KV_CACHE_H_
#define STABLEKV_CSRC_OPS_PAGED_KV_CACHE_H_

#include <cstdint>
#include <string_view>

#include "csrc/kernels/common/status.h"
#include "csrc/kernels/common/types.h"
#include "csrc/ops/tensor_arg.h"

namespace stablekv {

struct PagedKvCacheArgs {
  const TensorArg& source;  // queries or keys, [any, any, head_size], already checked
  const TensorArg& key_cache;
  const TensorArg& value_cache;
  const TensorArg& k_scale;
  const TensorArg& v_scale;
  std::string_view kv_cache_dtype;
  int64_t num_kv_heads;
  int64_t block_size;  // tokens, or kAnySize: what the cache has
};

struct PagedKvCache {
  CacheType cache;
  int64_t num_blocks;
  int64_t block_size;
  int64_t x;  // elements of one key chunk: 16 bytes' worth
};

// Checks key_cache [num_blocks, num_kv_heads, head_size / x, block_size, x] and value_cache
// [num_blocks, num_kv_heads, head_size, block_size]: dtype, sizes, device, contiguous inside a
// block and head, with free and independent strides between blocks and heads. And the two scales.
Status CheckPagedKvCache(const char* op, const PagedKvCacheArgs& args, ElementType element,
                         PagedKvCache* cache);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_OPS_PAGED_KV_CACHE_H_
