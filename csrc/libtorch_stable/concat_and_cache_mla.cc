#include "csrc/ops/concat_and_cache_mla.h"

#include "csrc/libtorch_stable/checked_mode.h"
#include "csrc/libtorch_stable/launch.h"
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
  if (params.num_tokens == 0) return;
  Launch(
      "concat_and_cache_mla", args.kv_c.device,
      [&](ParallelFor parallel_for) { return ConcatAndCacheMlaCpu(params, parallel_for); },
      [&](auto stream) {
        STABLEKV_RETURN_IF_ERROR(CheckSlotsInCheckedMode(params, stream));
        return ConcatAndCacheMlaCuda(params, stream);
      });
}

}  // namespace stablekv
