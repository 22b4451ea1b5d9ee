#include "csrc/ops/concat_mla_q.h"

#include "csrc/libtorch_stable/launch.h"
#include "csrc/libtorch_stable/ops.h"
#include "csrc/libtorch_stable/tensor_arg.h"

namespace stablekv {

void ConcatMlaQ(const Tensor& ql_nope, const Tensor& q_pe, const Tensor& q_out) {
  const ConcatMlaQArgs args{
      InputArg("ql_nope", ql_nope),
      InputArg("q_pe", q_pe),
      OutputArg("q_out", q_out),
  };
  ConcatMlaQParams params;
  ThrowIfError(PrepareConcatMlaQ(args, &params));
  if (params.num_tokens == 0) return;
  Launch(
      "concat_mla_q", args.ql_nope.device,
      [&](ParallelFor parallel_for) { return ConcatMlaQCpu(params, parallel_for); },
      [&](auto stream) { return ConcatMlaQCuda(params, stream); });
}

}  // namespace stablekv
