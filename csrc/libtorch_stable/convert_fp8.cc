#include "csrc/ops/convert_fp8.h"

#include "csrc/libtorch_stable/launch.h"
#include "csrc/libtorch_stable/ops.h"
#include "csrc/libtorch_stable/tensor_arg.h"

namespace stablekv {

void ConvertFp8(const Tensor& dst_cache, const Tensor& src_cache, double scale,
                const StringArg& kv_cache_dtype) {
  const ConvertFp8Args args{
      OutputArg("dst_cache", dst_cache),
      InputArg("src_cache", src_cache),
      scale,
      kv_cache_dtype,
  };
  ConvertFp8Params params;
  ThrowIfError(PrepareConvertFp8(args, &params));
  if (params.count == 0) return;
  Launch(
      "convert_fp8", args.src_cache.device,
      [&](ParallelFor parallel_for) { return ConvertFp8Cpu(params, parallel_for); },
      [&](auto stream) { return ConvertFp8Cuda(params, stream); });
}

}  // namespace stablekv
