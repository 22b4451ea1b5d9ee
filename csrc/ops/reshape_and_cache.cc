#include "csrc/ops/reshape_and_cache.h"

#include <string>

#include "csrc/ops/check.h"
#include "csrc/ops/describe.h"
#include "csrc/ops/paged_kv_cache.h"

namespace stablekv {
namespace {

constexpr const char* kOp = "reshape_and_cache";

// A token for every slot; more are allowed (padding of captured graphs), and not read.
Status CheckCoversSlots(const TensorArg& tensor, int64_t num_tokens) {
  if (tensor.size(0) >= num_tokens) return Status();
  return ArgumentError(
      kOp, tensor.name,
      "have at least " + std::to_string(num_tokens) + " tokens (the size of slot_mapping)",
      "shape " + SizesOf(tensor));
}

Status CheckKeyAndValue(const ReshapeAndCacheArgs& args, ElementType* element) {
  const TensorArg& key = args.key;
  const TensorArg& value = args.value;
  STABLEKV_RETURN_IF_ERROR(CheckElementType(kOp, key, element));
  STABLEKV_RETURN_IF_ERROR(CheckSameDType(kOp, value, key));
  STABLEKV_RETURN_IF_ERROR(CheckBackend(kOp, key));
  STABLEKV_RETURN_IF_ERROR(CheckMemory(kOp, key, key));
  STABLEKV_RETURN_IF_ERROR(CheckMemory(kOp, value, key));

  STABLEKV_RETURN_IF_ERROR(CheckShape(
      kOp, key, {{"num_tokens", kAnySize}, {"num_heads", kAnySize}, {"head_size", kAnySize}}));
  if (key.size(1) < 1 || key.size(2) < 1) {
    return ArgumentError(kOp, key.name, "have at least one head of at least one element",
                         "shape " + SizesOf(key));
  }
  STABLEKV_RETURN_IF_ERROR(CheckShape(
      kOp, value,
      {{"num_tokens", kAnySize}, {"num_heads", key.size(1)}, {"head_size", key.size(2)}}));
  STABLEKV_RETURN_IF_ERROR(CheckContiguousFrom(kOp, key, 2));
  return CheckContiguousFrom(kOp, value, 2);
}

Status CheckSlotMapping(const ReshapeAndCacheArgs& args) {
  const TensorArg& slot_mapping = args.slot_mapping;
  STABLEKV_RETURN_IF_ERROR(CheckDType(kOp, slot_mapping, DType::kInt64));
  STABLEKV_RETURN_IF_ERROR(CheckMemory(kOp, slot_mapping, args.key));
  STABLEKV_RETURN_IF_ERROR(CheckShape(kOp, slot_mapping, {{"num_tokens", kAnySize}}));
  STABLEKV_RETURN_IF_ERROR(CheckContiguousFrom(kOp, slot_mapping, 0));
  STABLEKV_RETURN_IF_ERROR(CheckCoversSlots(args.key, slot_mapping.size(0)));
  return CheckCoversSlots(args.value, slot_mapping.size(0));
}

// What is written must not be anything else of this call.
Status CheckWritten(const ReshapeAndCacheArgs& args) {
  const TensorArg& key_cache = args.key_cache;
  const TensorArg& value_cache = args.value_cache;
  STABLEKV_RETURN_IF_ERROR(CheckDistinctElements(kOp, key_cache));
  STABLEKV_RETURN_IF_ERROR(CheckDistinctElements(kOp, value_cache));
  STABLEKV_RETURN_IF_ERROR(CheckDisjoint(kOp, key_cache, value_cache));
  STABLEKV_RETURN_IF_ERROR(CheckDisjoint(kOp, key_cache, args.key));
  STABLEKV_RETURN_IF_ERROR(CheckDisjoint(kOp, key_cache, args.value));
  STABLEKV_RETURN_IF_ERROR(CheckDisjoint(kOp, value_cache, args.key));
  return CheckDisjoint(kOp, value_cache, args.value);
}

}  // namespace

Status PrepareReshapeAndCache(const ReshapeAndCacheArgs& args, ReshapeAndCacheParams* params) {
  const TensorArg& key = args.key;
  ElementType element;
  STABLEKV_RETURN_IF_ERROR(CheckKeyAndValue(args, &element));

  PagedKvCache cache;
  STABLEKV_RETURN_IF_ERROR(CheckPagedKvCache(
      kOp,
      {key, args.key_cache, args.value_cache, args.k_scale, args.v_scale, args.kv_cache_dtype,
       /*num_kv_heads=*/key.size(1), /*block_size=*/kAnySize},
      element, &cache));
  STABLEKV_RETURN_IF_ERROR(CheckSlotMapping(args));
  STABLEKV_RETURN_IF_ERROR(CheckWritten(args));

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
