#include "csrc/ops/reshape_and_cache_flash.h"

#include <algorithm>
#include <string>

#include "csrc/ops/check.h"
#include "csrc/ops/describe.h"
#include "csrc/ops/kv_cache_dtype.h"
#include "csrc/ops/memory.h"

namespace stablekv {
namespace {

constexpr const char* kOp = "reshape_and_cache_flash";

// Strides are the layout: NHD, HND, or any other in which elements of a head are side by side.
Status CheckCache(const KeyAndValueArgs& args, const TensorArg& cache, int64_t num_blocks,
                  int64_t block_size) {
  STABLEKV_RETURN_IF_ERROR(CheckMemory(kOp, cache, args.key));
  STABLEKV_RETURN_IF_ERROR(CheckShape(kOp, cache,
                                      {{"num_blocks", num_blocks},
                                       {"block_size", block_size},
                                       {"num_heads", args.key.size(1)},
                                       {"head_size", args.key.size(2)}}));
  if (cache.size(1) < 1) {
    return ArgumentError(kOp, cache.name, "have a block size of at least 1", cache.size(1));
  }
  return CheckContiguousFrom(kOp, cache, 3);
}

Status CheckCaches(const KeyAndValueArgs& args, CacheType* cache) {
  const std::string_view dtype = args.kv_cache_dtype;
  STABLEKV_RETURN_IF_ERROR(ParseKvCacheDType(kOp, dtype, args.key, cache, "nvfp4"));
  STABLEKV_RETURN_IF_ERROR(CheckCacheDType(kOp, args.key_cache, dtype, *cache, args.key));
  STABLEKV_RETURN_IF_ERROR(CheckCacheDType(kOp, args.value_cache, dtype, *cache, args.key));
  STABLEKV_RETURN_IF_ERROR(CheckCache(args, args.key_cache, kAnySize, kAnySize));
  return CheckCache(args, args.value_cache, args.key_cache.size(0), args.key_cache.size(1));
}

Status CheckHeadScale(const KeyAndValueArgs& args, const TensorArg& scale) {
  STABLEKV_RETURN_IF_ERROR(CheckDType(kOp, scale, DType::kFloat32));
  const int64_t num_heads = args.key.size(1);
  const int64_t count = NumElements(scale);
  if (count != 1 && count != num_heads) {
    return ArgumentError(
        kOp, scale.name,
        "have one element or one a head (num_heads is " + std::to_string(num_heads) + ")",
        "shape " + SizesOf(scale));
  }
  STABLEKV_RETURN_IF_ERROR(CheckMemory(kOp, scale, args.key));
  return CheckContiguousFrom(kOp, scale, 0);
}

Status CheckScales(const KeyAndValueArgs& args) {
  const TensorArg& k_scale = args.k_scale;
  const TensorArg& v_scale = args.v_scale;
  STABLEKV_RETURN_IF_ERROR(CheckHeadScale(args, k_scale));
  STABLEKV_RETURN_IF_ERROR(CheckHeadScale(args, v_scale));
  if (k_scale.dim == v_scale.dim &&
      std::equal(k_scale.sizes, k_scale.sizes + k_scale.dim, v_scale.sizes)) {
    return Status();
  }
  return ArgumentError(kOp, v_scale.name,
                       "have shape " + SizesOf(k_scale) + " (the shape of k_scale)",
                       SizesOf(v_scale));
}

FlashSide SideOf(const TensorArg& source, const TensorArg& cache, const TensorArg& scale) {
  FlashSide side;
  side.source = source.data;
  side.cache = cache.data;
  side.scale = static_cast<const float*>(scale.data);
  side.source_token_stride = source.stride(0);
  side.source_head_stride = source.stride(1);
  side.cache_block_stride = cache.stride(0);
  side.cache_token_stride = cache.stride(1);
  side.cache_head_stride = cache.stride(2);
  return side;
}

}  // namespace

Status PrepareReshapeAndCacheFlash(const KeyAndValueArgs& args,
                                   ReshapeAndCacheFlashParams* params) {
  STABLEKV_RETURN_IF_ERROR(CheckKeyAndValue(kOp, args.key, args.value, &params->element));
  STABLEKV_RETURN_IF_ERROR(CheckCaches(args, &params->cache));
  STABLEKV_RETURN_IF_ERROR(CheckScales(args));
  STABLEKV_RETURN_IF_ERROR(CheckWrites(kOp, args));

  params->key = SideOf(args.key, args.key_cache, args.k_scale);
  params->value = SideOf(args.value, args.value_cache, args.v_scale);
  params->slot_mapping = static_cast<const int64_t*>(args.slot_mapping.data);
  params->num_tokens = args.slot_mapping.size(0);
  params->num_blocks = args.key_cache.size(0);
  params->block_size = args.key_cache.size(1);
  params->num_heads = args.key.size(1);
  params->head_size = args.key.size(2);
  params->scale_stride = NumElements(args.k_scale) == 1 ? 0 : 1;
  return Status();
}

}  // namespace stablekv
