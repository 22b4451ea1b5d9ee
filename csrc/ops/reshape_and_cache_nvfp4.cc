#include "csrc/ops/reshape_and_cache_nvfp4.h"

#include <string>

#include "csrc/ops/check.h"
#include "csrc/ops/describe.h"
#include "csrc/ops/memory.h"

namespace stablekv {
namespace {

constexpr const char* kOp = "reshape_and_cache_flash";

Status CheckKey(const TensorArg& key) {
  if (key.dtype == DType::kFloat32) {
    return ArgumentError(kOp, "kv_cache_dtype", "be another than \"nvfp4\" for a key of float32",
                         "\"nvfp4\"");
  }
  if (key.size(2) % 64 == 0) return Status();
  return ArgumentError(kOp, key.name, "have a head size that is a multiple of 64 for nvfp4",
                       key.size(2));
}

bool IsHnd(const TensorArg& cache) {
  return cache.size(2) > 1 && cache.stride(2) > cache.stride(1);
}

// A block is a page without gaps, whose strides say the order of its rows.
Status CheckPages(const TensorArg& cache, bool hnd) {
  if (NumElements(cache) == 0) return Status();
  const int64_t rows = hnd ? cache.size(1) : cache.size(2);  // of the inner one of two dimensions
  const int64_t inner = cache.size(3);
  const bool token_fits = cache.stride(1) == (hnd ? inner : inner * rows);
  const bool head_fits = cache.size(2) == 1 || cache.stride(2) == (hnd ? inner * rows : inner);
  if (token_fits && head_fits && cache.stride(3) == 1) return Status();
  return ArgumentError(kOp, cache.name,
                       std::string("have pages without gaps, in the ") + (hnd ? "HND" : "NHD") +
                           " order of key_cache",
                       "strides " + StridesOf(cache) + " for shape " + SizesOf(cache));
}

Status CheckCache(const KeyAndValueArgs& args, const TensorArg& cache, int64_t num_blocks,
                  int64_t block_size) {
  STABLEKV_RETURN_IF_ERROR(CheckDType(kOp, cache, DType::kUInt8));
  STABLEKV_RETURN_IF_ERROR(CheckMemory(kOp, cache, args.key));
  STABLEKV_RETURN_IF_ERROR(CheckShape(kOp, cache,
                                      {{"num_blocks", num_blocks},
                                       {"block_size", block_size},
                                       {"num_heads", args.key.size(1)},
                                       {"9 * head_size / 16", args.key.size(2) / 16 * 9}}));
  if (cache.size(1) < 1 || cache.size(1) % 4 != 0) {
    return ArgumentError(kOp, cache.name, "have a block size that is a multiple of 4 for nvfp4",
                         cache.size(1));
  }
  return CheckPages(cache, IsHnd(args.key_cache));
}

Nvfp4Side SideOf(const TensorArg& source, const TensorArg& cache, const TensorArg& scale) {
  Nvfp4Side side;
  side.source = static_cast<const uint16_t*>(source.data);
  side.cache = static_cast<uint8_t*>(cache.data);
  side.scale = static_cast<const float*>(scale.data);
  side.source_token_stride = source.stride(0);
  side.source_head_stride = source.stride(1);
  side.page_stride = cache.stride(0);
  return side;
}

}  // namespace

Status PrepareReshapeAndCacheNvfp4(const KeyAndValueArgs& args,
                                   ReshapeAndCacheNvfp4Params* params) {
  STABLEKV_RETURN_IF_ERROR(CheckKeyAndValue(kOp, args.key, args.value, &params->element));
  STABLEKV_RETURN_IF_ERROR(CheckKey(args.key));
  STABLEKV_RETURN_IF_ERROR(CheckCache(args, args.key_cache, kAnySize, kAnySize));
  STABLEKV_RETURN_IF_ERROR(
      CheckCache(args, args.value_cache, args.key_cache.size(0), args.key_cache.size(1)));
  STABLEKV_RETURN_IF_ERROR(CheckScale(kOp, args.k_scale, args.key));
  STABLEKV_RETURN_IF_ERROR(CheckScale(kOp, args.v_scale, args.key));
  STABLEKV_RETURN_IF_ERROR(CheckWrites(kOp, args));

  params->key = SideOf(args.key, args.key_cache, args.k_scale);
  params->value = SideOf(args.value, args.value_cache, args.v_scale);
  params->slot_mapping = static_cast<const int64_t*>(args.slot_mapping.data);
  params->num_tokens = args.slot_mapping.size(0);
  params->num_blocks = args.key_cache.size(0);
  params->block_size = args.key_cache.size(1);
  params->num_heads = args.key.size(1);
  params->head_size = args.key.size(2);
  params->hnd = IsHnd(args.key_cache);
  return Status();
}

}  // namespace stablekv
