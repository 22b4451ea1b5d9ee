#include "csrc/ops/paged_kv_cache.h"

#include <string>

#include "csrc/ops/check.h"
#include "csrc/ops/kv_cache_dtype.h"

namespace stablekv {
namespace {

constexpr int64_t kKeyChunkBytes = 16;

}  // namespace

Status CheckPagedKvCache(const char* op, const PagedKvCacheArgs& args, ElementType element,
                         PagedKvCache* cache) {
  const TensorArg& source = args.source;
  const TensorArg& key_cache = args.key_cache;
  const TensorArg& value_cache = args.value_cache;
  const std::string_view dtype = args.kv_cache_dtype;

  STABLEKV_RETURN_IF_ERROR(ParseKvCacheDType(op, dtype, source, &cache->cache));
  STABLEKV_RETURN_IF_ERROR(CheckCacheDType(op, key_cache, dtype, cache->cache, source));
  STABLEKV_RETURN_IF_ERROR(CheckCacheDType(op, value_cache, dtype, cache->cache, source));
  STABLEKV_RETURN_IF_ERROR(CheckMemory(op, key_cache, source));
  STABLEKV_RETURN_IF_ERROR(CheckMemory(op, value_cache, source));

  const int64_t head_size = source.size(2);
  cache->x = kKeyChunkBytes / SizeOf(cache->cache, element);
  if (head_size % cache->x != 0) {
    return ArgumentError(op, source.name,
                         "have a head size that is a multiple of " + std::to_string(cache->x) +
                             " for kv_cache_dtype \"" + std::string(dtype) + "\"",
                         head_size);
  }

  STABLEKV_RETURN_IF_ERROR(CheckShape(op, key_cache,
                                      {{"num_blocks", kAnySize},
                                       {"num_kv_heads", args.num_kv_heads},
                                       {"head_size / x", head_size / cache->x},
                                       {"block_size", args.block_size},
                                       {"x", cache->x}}));
  cache->num_blocks = key_cache.size(0);
  cache->block_size = key_cache.size(3);
  if (cache->block_size < 1) {
    return ArgumentError(op, key_cache.name, "have a block size of at least 1", cache->block_size);
  }
  STABLEKV_RETURN_IF_ERROR(CheckShape(op, value_cache,
                                      {{"num_blocks", cache->num_blocks},
                                       {"num_kv_heads", args.num_kv_heads},
                                       {"head_size", head_size},
                                       {"block_size", cache->block_size}}));
  STABLEKV_RETURN_IF_ERROR(CheckContiguousFrom(op, key_cache, 2));
  STABLEKV_RETURN_IF_ERROR(CheckContiguousFrom(op, value_cache, 2));

  STABLEKV_RETURN_IF_ERROR(CheckScale(op, args.k_scale, source));
  return CheckScale(op, args.v_scale, source);
}

}  // namespace stablekv
