#include "csrc/ops/merge_attn_states.h"

#include "csrc/libtorch_stable/launch.h"
#include "csrc/libtorch_stable/ops.h"
#include "csrc/libtorch_stable/tensor_arg.h"

namespace stablekv {

void MergeAttnStates(const Tensor& output, const std::optional<Tensor>& output_lse,
                     const Tensor& prefix_output, const Tensor& prefix_lse,
                     const Tensor& suffix_output, const Tensor& suffix_lse,
                     std::optional<int64_t> prefill_tokens_with_context,
                     const std::optional<Tensor>& output_scale) {
  const MergeAttnStatesArgs args{
      OutputArg("output", output),
      OptionalOutputArg("output_lse", output_lse),
      InputArg("prefix_output", prefix_output),
      InputArg("prefix_lse", prefix_lse),
      InputArg("suffix_output", suffix_output),
      InputArg("suffix_lse", suffix_lse),
      prefill_tokens_with_context,
      OptionalInputArg("output_scale", output_scale),
  };
  MergeAttnStatesParams params;
  ThrowIfError(PrepareMergeAttnStates(args, &params));
  Launch(
      "merge_attn_states", args.prefix_output.device,
      [&](ParallelFor parallel_for) { return MergeAttnStatesCpu(params, parallel_for); },
      [&](auto stream) { return MergeAttnStatesCuda(params, stream); });
}

}  // namespace stablekv
