#include "csrc/ops/concat_and_cache_mla.h"

#include "csrc/libtorch_stable/launch_to_slots.h"
#include "csrc/libtorch_stable/ops.h"
#include "csrc/libtorch_stable/tensor_arg.h"

namespace stablekv {

void ConcatAndCacheMla(const Tensor& kv_c, const Tensor& k_pe, const Tensor& kv_cache,
                       const Tensor& slot_mapping, const StringArg& kv_cache_dtype,
                       const Tensor& scale) {
  const ConcatAndCacheMlaArgs args{
      InputArg("kv_c", kv_c),
      InputArg("k_pe", k_pe),
      OutputArg("kv_cache", kv_cache),
      InputArg("slot_mapping", slot_mapping),
      kv_cache_dtype,
      InputArg("scale", scale),
  };
  ConcatAndCacheMlaParams params;
  ThrowIfError(PrepareConcatAndCacheMla(args, &params));
  LaunchToSlots(
      "concat_and_cache_mla", args.kv_c.device, params, &ConcatAndCacheMlaCpu,
      [](const auto& checked, auto stream) { return ConcatAndCacheMlaCuda(checked, stream); });
}

}  // namespace stablekv
