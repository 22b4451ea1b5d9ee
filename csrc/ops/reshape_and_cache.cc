#include "csrc/ops/reshape_and_cache.h"

#include "csrc/ops/check.h"
#include "csrc/ops/paged_kv_cache.h"

namespace stablekv {
namespace {

constexpr const char* kOp = "reshape_and_cache";

}  // namespace

Status PrepareReshapeAndCache(const KeyAndValueArgs& args, ReshapeAndCacheParams* params) {
  const TensorArg& key = args.key;
  ElementType element;
  STABLEKV_RETURN_IF_ERROR(CheckKeyAndValue(kOp, key, args.value, &element));

  PagedKvCache cache;
  STABLEKV_RETURN_IF_ERROR(CheckPagedKvCache(
      kOp,
      {key, args.key_cache, args.value_cache, args.k_scale, args.v_scale, args.kv_cache_dtype,
       /*num_kv_heads=*/key.size(1), /*block_size=*/kAnySize},
      element, &cache));
  STABLEKV_RETURN_IF_ERROR(CheckWrites(kOp, args));

  params->key = key.data;
  params->value = args.value.data;
  params->key_cache = args.key_cache.data;
  params->value_cache = args.value_cache.data;
  params->slot_mapping = static_cast<const int64_t*>(args.slot_mapping.data);
  params->k_scale = static_cast<const float*>(args.k_scale.data);
  params->v_scale = static_cast<const float*>(args.v_scale.data);
  params->num_tokens = args.slot_mapping.size(0);
  params->num_blocks = cache.num_blocks;
  params->num_heads = key.size(1);
  params->head_size = key.size(2);
  params->block_size = cache.block_size;
  params->x = cache.x;
  params->key_token_stride = key.stride(0);
  params->key_head_stride = key.stride(1);
  params->value_token_stride = args.value.stride(0);
  params->value_head_stride = args.value.stride(1);
  params->key_cache_block_stride = args.key_cache.stride(0);
  params->key_cache_head_stride = args.key_cache.stride(1);
  params->value_cache_block_stride = args.value_cache.stride(0);
  params->value_cache_head_stride = args.value_cache.stride(1);
  params->element = element;
  params->cache = cache.cache;
  return Status();
}

}  // namespace stablekv
