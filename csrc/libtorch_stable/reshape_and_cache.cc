#include "csrc/ops/reshape_and_cache.h"

#include "csrc/libtorch_stable/launch_to_slots.h"
#include "csrc/libtorch_stable/ops.h"
#include "csrc/libtorch_stable/tensor_arg.h"
#include "csrc/ops/reshape_and_cache_flash.h"
#include "csrc/ops/reshape_and_cache_nvfp4.h"

namespace stablekv {

namespace {

// The arguments that both operators have, in the order of the schemas.
KeyAndValueArgs CommonArgs(const Tensor& key, const Tensor& value, const Tensor& key_cache,
                           const Tensor& value_cache, const Tensor& slot_mapping,
                           const StringArg& kv_cache_dtype, const Tensor& k_scale,
                           const Tensor& v_scale) {
  return {
      InputArg("key", key),
      InputArg("value", value),
      OutputArg("key_cache", key_cache),
      OutputArg("value_cache", value_cache),
      InputArg("slot_mapping", slot_mapping),
      kv_cache_dtype,
      InputArg("k_scale", k_scale),
      InputArg("v_scale", v_scale),
  };
}

void ReshapeAndCacheNvfp4(const KeyAndValueArgs& args) {
  ReshapeAndCacheNvfp4Params params;
  ThrowIfError(PrepareReshapeAndCacheNvfp4(args, &params));
  LaunchToSlots(
      "reshape_and_cache_flash", args.key.device, params, &ReshapeAndCacheNvfp4Cpu,
      [](const auto& checked, auto stream) { return ReshapeAndCacheNvfp4Cuda(checked, stream); });
}

}  // namespace

void ReshapeAndCache(const Tensor& key, const Tensor& value, const Tensor& key_cache,
                     const Tensor& value_cache, const Tensor& slot_mapping,
                     const StringArg& kv_cache_dtype, const Tensor& k_scale,
                     const Tensor& v_scale) {
  const KeyAndValueArgs args = CommonArgs(key, value, key_cache, value_cache, slot_mapping,
                                          kv_cache_dtype, k_scale, v_scale);
  ReshapeAndCacheParams params;
  ThrowIfError(PrepareReshapeAndCache(args, &params));
  LaunchToSlots(
      "reshape_and_cache", args.key.device, params, &ReshapeAndCacheCpu,
      [](const auto& checked, auto stream) { return ReshapeAndCacheCuda(checked, stream); });
}

void ReshapeAndCacheFlash(const Tensor& key, const Tensor& value, const Tensor& key_cache,
                          const Tensor& value_cache, const Tensor& slot_mapping,
                          const StringArg& kv_cache_dtype, const Tensor& k_scale,
                          const Tensor& v_scale) {
  const KeyAndValueArgs args = CommonArgs(key, value, key_cache, value_cache, slot_mapping,
                                          kv_cache_dtype, k_scale, v_scale);
  if (args.kv_cache_dtype == kNvfp4) return ReshapeAndCacheNvfp4(args);
  ReshapeAndCacheFlashParams params;
  ThrowIfError(PrepareReshapeAndCacheFlash(args, &params));
  LaunchToSlots(
      "reshape_and_cache_flash", args.key.device, params, &ReshapeAndCacheFlashCpu,
      [](const auto& checked, auto stream) { return ReshapeAndCacheFlashCuda(checked, stream); });
}

}  // namespace stablekv
