#include "csrc/ops/reshape_and_cache_flash.h"

#include "csrc/libtorch_stable/checked_mode.h"
#include "csrc/libtorch_stable/launch.h"
#include "csrc/libtorch_stable/ops.h"
#include "csrc/libtorch_stable/tensor_arg.h"
#include "csrc/ops/reshape_and_cache_nvfp4.h"

namespace stablekv {

namespace {

void ReshapeAndCacheNvfp4(const ReshapeAndCacheFlashArgs& args) {
  ReshapeAndCacheNvfp4Params params;
  ThrowIfError(PrepareReshapeAndCacheNvfp4(args, &params));
  if (params.num_tokens == 0) return;
  Launch(
      "reshape_and_cache_flash", args.key.device,
      [&](ParallelFor parallel_for) { return ReshapeAndCacheNvfp4Cpu(params, parallel_for); },
      [&](auto stream) {
        STABLEKV_RETURN_IF_ERROR(CheckSlotsInCheckedMode(params, stream));
        return ReshapeAndCacheNvfp4Cuda(params, stream);
      });
}

}  // namespace

void ReshapeAndCacheFlash(const Tensor& key, const Tensor& value, const Tensor& key_cache,
                          const Tensor& value_cache, const Tensor& slot_mapping,
                          const StringArg& kv_cache_dtype, const Tensor& k_scale,
                          const Tensor& v_scale) {
  const ReshapeAndCacheFlashArgs args{
      InputArg("key", key),
      InputArg("value", value),
      OutputArg("key_cache", key_cache),
      OutputArg("value_cache", value_cache),
      InputArg("slot_mapping", slot_mapping),
      kv_cache_dtype,
      InputArg("k_scale", k_scale),
      InputArg("v_scale", v_scale),
  };
  if (args.kv_cache_dtype == kNvfp4) return ReshapeAndCacheNvfp4(args);
  ReshapeAndCacheFlashParams params;
  ThrowIfError(PrepareReshapeAndCacheFlash(args, &params));
  if (params.num_tokens == 0) return;
  Launch(
      "reshape_and_cache_flash", args.key.device,
      [&](ParallelFor parallel_for) { return ReshapeAndCacheFlashCpu(params, parallel_for); },
      [&](auto stream) {
        STABLEKV_RETURN_IF_ERROR(CheckSlotsInCheckedMode(params, stream));
        return ReshapeAndCacheFlashCuda(params, stream);
      });
}

}  // namespace stablekv
