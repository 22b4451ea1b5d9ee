#include "csrc/ops/reshape_and_cache.h"

#include "csrc/libtorch_stable/checked_mode.h"
#include "csrc/libtorch_stable/launch.h"
#include "csrc/libtorch_stable/ops.h"
#include "csrc/libtorch_stable/tensor_arg.h"

namespace stablekv {

void ReshapeAndCache(const Tensor& key, const Tensor& value, const Tensor& key_cache,
                     const Tensor& value_cache, const Tensor& slot_mapping,
                     const StringArg& kv_cache_dtype, const Tensor& k_scale,
                     const Tensor& v_scale) {
  const ReshapeAndCacheArgs args{
      InputArg("key", key),
      InputArg("value", value),
      OutputArg("key_cache", key_cache),
      OutputArg("value_cache", value_cache),
      InputArg("slot_mapping", slot_mapping),
      kv_cache_dtype,
      InputArg("k_scale", k_scale),
      InputArg("v_scale", v_scale),
  };
  ReshapeAndCacheParams params;
  ThrowIfError(PrepareReshapeAndCache(args, &params));
  if (params.num_tokens == 0) return;
  Launch(
      "reshape_and_cache", args.key.device,
      [&](ParallelFor parallel_for) { return ReshapeAndCacheCpu(params, parallel_for); },
      [&](auto stream) {
        STABLEKV_RETURN_IF_ERROR(CheckSlotsInCheckedMode(params, stream));
        return ReshapeAndCacheCuda(params, stream);
      });
}

}  // namespace stablekv
