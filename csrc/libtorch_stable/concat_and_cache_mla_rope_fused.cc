#include "csrc/ops/concat_and_cache_mla_rope_fused.h"

#include "csrc/kernels/mla/concat_and_cache_mla_rope_fused_check_cpu.h"
#include "csrc/libtorch_stable/checked_mode.h"
#include "csrc/libtorch_stable/launch.h"
#include "csrc/libtorch_stable/ops.h"
#include "csrc/libtorch_stable/tensor_arg.h"

namespace stablekv {

void ConcatAndCacheMlaRopeFused(const Tensor& positions, const Tensor& q_pe, const Tensor& k_pe,
                                const Tensor& kv_c, const Tensor& cos_sin_cache, bool is_neox,
                                const Tensor& slot_mapping, const Tensor& kv_cache,
                                const StringArg& kv_cache_dtype, const Tensor& kv_cache_scale) {
  const ConcatAndCacheMlaRopeFusedArgs args{
      InputArg("positions", positions),
      OutputArg("q_pe", q_pe),
      OutputArg("k_pe", k_pe),
      InputArg("kv_c", kv_c),
      InputArg("cos_sin_cache", cos_sin_cache),
      is_neox,
      InputArg("slot_mapping", slot_mapping),
      OutputArg("kv_cache", kv_cache),
      kv_cache_dtype,
      InputArg("kv_cache_scale", kv_cache_scale),
  };
  ConcatAndCacheMlaRopeFusedParams params;
  ThrowIfError(PrepareConcatAndCacheMlaRopeFused(args, &params));
  if (params.num_tokens == 0) return;
  Launch(
      "concat_and_cache_mla_rope_fused", args.q_pe.device,
      [&](ParallelFor parallel_for) { return ConcatAndCacheMlaRopeFusedCpu(params, parallel_for); },
      [&](auto stream) {
        STABLEKV_RETURN_IF_ERROR(InCheckedMode(stream, [&](HostCopies& host) {
          ConcatAndCacheMlaRopeFusedParams copy = params;
          STABLEKV_RETURN_IF_ERROR(host.Fetch(&copy.slot_mapping, copy.num_tokens));
          STABLEKV_RETURN_IF_ERROR(host.Fetch(&copy.positions, copy.num_tokens));
          return CheckConcatAndCacheMlaRopeFusedValues(copy);
        }));
        return ConcatAndCacheMlaRopeFusedCuda(params, stream);
      });
}

}  // namespace stablekv
