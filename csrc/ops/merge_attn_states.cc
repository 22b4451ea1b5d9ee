#include "csrc/ops/merge_attn_states.h"

#include <string>

#include "csrc/ops/check.h"
#include "csrc/ops/describe.h"

namespace stablekv {
namespace {

constexpr const char* kOp = "merge_attn_states";

// [num_tokens, num_heads, head_size] like the prefix's, heads without gaps.
Status CheckStates(const TensorArg& states, const TensorArg& prefix) {
  STABLEKV_RETURN_IF_ERROR(CheckMemory(kOp, states, prefix));
  STABLEKV_RETURN_IF_ERROR(CheckShape(kOp, states,
                                      {{"num_tokens", prefix.size(0)},
                                       {"num_heads", prefix.size(1)},
                                       {"head_size", prefix.size(2)}}));
  return CheckContiguousFrom(kOp, states, 2);
}

Status CheckLses(const TensorArg& lses, const TensorArg& prefix) {
  STABLEKV_RETURN_IF_ERROR(CheckDType(kOp, lses, DType::kFloat32));
  STABLEKV_RETURN_IF_ERROR(CheckMemory(kOp, lses, prefix));
  return CheckShape(kOp, lses, {{"num_heads", prefix.size(1)}, {"num_tokens", prefix.size(0)}});
}

Status CheckInputs(const MergeAttnStatesArgs& args, ElementType* element) {
  const TensorArg& prefix = args.prefix_output;
  STABLEKV_RETURN_IF_ERROR(CheckElementType(kOp, prefix, element));
  STABLEKV_RETURN_IF_ERROR(CheckSameDType(kOp, args.suffix_output, prefix));
  STABLEKV_RETURN_IF_ERROR(CheckBackend(kOp, prefix));
  STABLEKV_RETURN_IF_ERROR(CheckShape(
      kOp, prefix, {{"num_tokens", kAnySize}, {"num_heads", kAnySize}, {"head_size", kAnySize}}));
  STABLEKV_RETURN_IF_ERROR(CheckStates(prefix, prefix));
  STABLEKV_RETURN_IF_ERROR(CheckStates(args.suffix_output, prefix));
  STABLEKV_RETURN_IF_ERROR(CheckLses(args.prefix_lse, prefix));
  return CheckLses(args.suffix_lse, prefix);
}

Status CheckOutputDType(const MergeAttnStatesArgs& args) {
  const TensorArg& output = args.output;
  if (args.output_scale.has_value()) {
    STABLEKV_RETURN_IF_ERROR(CheckScale(kOp, *args.output_scale, args.prefix_output));
    if (output.dtype == DType::kFloat8E4M3) return Status();
    return ArgumentError(kOp, output.name, "be float8_e4m3fn when output_scale is set",
                         NameOf(output.dtype));
  }
  if (output.dtype == args.prefix_output.dtype) return Status();
  return ArgumentError(kOp, output.name,
                       std::string("be ") + NameOf(args.prefix_output.dtype) +
                           " (must match prefix_output dtype when output_scale is not set)",
                       NameOf(output.dtype));
}

// What is written must not be anything else of this call.
Status CheckWritten(const MergeAttnStatesArgs& args, const TensorArg& written) {
  STABLEKV_RETURN_IF_ERROR(CheckDistinctElements(kOp, written));
  return CheckDisjoint(kOp, written,
                       {&args.prefix_output, &args.prefix_lse, &args.suffix_output,
                        &args.suffix_lse, args.output_scale ? &*args.output_scale : nullptr});
}

Status CheckOutputs(const MergeAttnStatesArgs& args) {
  STABLEKV_RETURN_IF_ERROR(CheckOutputDType(args));
  STABLEKV_RETURN_IF_ERROR(CheckStates(args.output, args.prefix_output));
  STABLEKV_RETURN_IF_ERROR(CheckWritten(args, args.output));
  if (!args.output_lse.has_value()) return Status();
  STABLEKV_RETURN_IF_ERROR(CheckLses(*args.output_lse, args.prefix_output));
  STABLEKV_RETURN_IF_ERROR(CheckWritten(args, *args.output_lse));
  return CheckDisjoint(kOp, args.output, *args.output_lse);
}

AttnStates<const void> StatesOf(const TensorArg& states) {
  return {states.data, states.stride(0), states.stride(1)};
}

AttnLses<const float> LsesOf(const TensorArg& lses) {
  return {static_cast<const float*>(lses.data), lses.stride(0), lses.stride(1)};
}

}  // namespace

Status PrepareMergeAttnStates(const MergeAttnStatesArgs& args, MergeAttnStatesParams* params) {
  const TensorArg& prefix = args.prefix_output;
  STABLEKV_RETURN_IF_ERROR(CheckInputs(args, &params->element));
  STABLEKV_RETURN_IF_ERROR(CheckOutputs(args));
  const int64_t num_tokens = prefix.size(0);
  const int64_t prefix_tokens = args.prefill_tokens_with_context.value_or(num_tokens);
  if (prefix_tokens < 0 || prefix_tokens > num_tokens) {
    return ArgumentError(
        kOp, "prefill_tokens_with_context",
        "be from 0 to " + std::to_string(num_tokens) + " (prefix_num_tokens must be <= num_tokens)",
        prefix_tokens);
  }
  const TensorArg& output = args.output;
  params->output = {output.data, output.stride(0), output.stride(1)};
  params->output_lse = {};
  if (args.output_lse.has_value()) {
    const TensorArg& lse = *args.output_lse;
    params->output_lse = {static_cast<float*>(lse.data), lse.stride(0), lse.stride(1)};
  }
  params->prefix = StatesOf(prefix);
  params->prefix_lse = LsesOf(args.prefix_lse);
  params->suffix = StatesOf(args.suffix_output);
  params->suffix_lse = LsesOf(args.suffix_lse);
  params->output_scale =
      args.output_scale ? static_cast<const float*>(args.output_scale->data) : nullptr;
  params->num_tokens = num_tokens;
  params->num_heads = prefix.size(1);
  params->head_size = prefix.size(2);
  params->prefix_tokens = prefix_tokens;
  return Status();
}

}  // namespace stablekv
