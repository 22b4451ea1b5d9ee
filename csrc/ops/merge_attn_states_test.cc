// The checks of merge_attn_states.
#include "csrc/ops/merge_attn_states.h"

#include <optional>
#include <string>

#include "csrc/ops/testing.h"

namespace stablekv {
namespace {

using testing::FakeTensor;

// 5 tokens, 3 heads of 64.
struct Call {
  FakeTensor output{"output", DType::kFloat16, {5, 3, 64}};
  FakeTensor output_lse{"output_lse", DType::kFloat32, {3, 5}};
  FakeTensor prefix_output{"prefix_output", DType::kFloat16, {5, 3, 64}};
  FakeTensor prefix_lse{"prefix_lse", DType::kFloat32, {3, 5}};
  FakeTensor suffix_output{"suffix_output", DType::kFloat16, {5, 3, 64}};
  FakeTensor suffix_lse{"suffix_lse", DType::kFloat32, {3, 5}};
  std::optional<int64_t> prefill_tokens_with_context;
  FakeTensor output_scale{"output_scale", DType::kFloat32, {}};
  bool has_lse = true;
  bool has_scale = false;

  Status Prepare(MergeAttnStatesParams* params) const {
    std::optional<TensorArg> lse;
    std::optional<TensorArg> scale;
    if (has_lse) lse = output_lse.arg();
    if (has_scale) scale = output_scale.arg();
    return PrepareMergeAttnStates(
        {output.arg(), lse, prefix_output.arg(), prefix_lse.arg(), suffix_output.arg(),
         suffix_lse.arg(), prefill_tokens_with_context, scale},
        params);
  }
};

using Change = void (*)(Call&);

void Refused(const std::string& want, const Change change) {
  Call call;
  change(call);
  MergeAttnStatesParams params;
  CHECK_MESSAGE(call.Prepare(&params), "merge_attn_states: " + want);
}

void TestParams() {
  Call call;
  call.output.strides = {1000, 100, 1};
  call.prefix_output.strides = {2000, 200, 1};
  call.suffix_output.strides = {3000, 300, 1};
  call.output_lse.strides = {1, 3};
  call.prefix_lse.strides = {20, 2};
  call.suffix_lse.strides = {40, 5};
  call.prefill_tokens_with_context = 4;
  MergeAttnStatesParams params;
  CHECK_MESSAGE(call.Prepare(&params), "");
  CHECK_THAT(params.output.data == call.output.arg().data, "");
  CHECK_EQUAL(params.output.token_stride, 1000, "");
  CHECK_EQUAL(params.output.head_stride, 100, "");
  CHECK_THAT(params.prefix.data == call.prefix_output.arg().data, "");
  CHECK_EQUAL(params.prefix.token_stride, 2000, "");
  CHECK_EQUAL(params.prefix.head_stride, 200, "");
  CHECK_THAT(params.suffix.data == call.suffix_output.arg().data, "");
  CHECK_EQUAL(params.suffix.token_stride, 3000, "");
  CHECK_EQUAL(params.suffix.head_stride, 300, "");
  CHECK_THAT(params.output_lse.data == call.output_lse.arg().data, "");
  CHECK_EQUAL(params.output_lse.head_stride, 1, "");
  CHECK_EQUAL(params.output_lse.token_stride, 3, "");
  CHECK_THAT(params.prefix_lse.data == call.prefix_lse.arg().data, "");
  CHECK_EQUAL(params.prefix_lse.head_stride, 20, "");
  CHECK_EQUAL(params.prefix_lse.token_stride, 2, "");
  CHECK_THAT(params.suffix_lse.data == call.suffix_lse.arg().data, "");
  CHECK_EQUAL(params.suffix_lse.head_stride, 40, "");
  CHECK_EQUAL(params.suffix_lse.token_stride, 5, "");
  CHECK_THAT(params.output_scale == nullptr, "");
  CHECK_EQUAL(params.num_tokens, 5, "");
  CHECK_EQUAL(params.num_heads, 3, "");
  CHECK_EQUAL(params.head_size, 64, "");
  CHECK_EQUAL(params.prefix_tokens, 4, "");
  CHECK_THAT(params.element == ElementType::kFloat16, "");
}

void TestAccepted() {
  MergeAttnStatesParams params;
  const auto accepted = [&](const Change change) {
    Call call;
    change(call);
    CHECK_MESSAGE(call.Prepare(&params), "");
  };
  accepted([](Call& c) { c.has_lse = false; });
  CHECK_THAT(params.output_lse.data == nullptr, "");
  CHECK_EQUAL(params.prefix_tokens, 5, "");
  accepted([](Call& c) { c.prefill_tokens_with_context = 0; });
  CHECK_EQUAL(params.prefix_tokens, 0, "");
  accepted([](Call& c) {
    c.has_scale = true;
    c.output.dtype = DType::kFloat8E4M3;
  });
  CHECK_THAT(params.output_scale != nullptr, "");
  accepted([](Call& c) {  // any head size
    for (FakeTensor* tensor : {&c.output, &c.prefix_output, &c.suffix_output}) {
      tensor->Reshape({5, 3, 7});
    }
  });
  accepted([](Call& c) { c.suffix_output.address = c.prefix_output.address; });
}

void TestInputs() {
  Refused(
      "prefix_output must be float32, float16 or bfloat16, got float64 (Unsupported input type "
      "of kv cache: float64)",
      [](Call& c) { c.prefix_output.dtype = DType::kFloat64; });
  Refused("suffix_output must be float16 (the dtype of prefix_output), got float32",
          [](Call& c) { c.suffix_output.dtype = DType::kFloat32; });
  Refused("prefix_output must have shape [num_tokens, num_heads, head_size], got [5, 192]",
          [](Call& c) { c.prefix_output.Reshape({5, 192}); });
  Refused(
      "suffix_output must have shape [num_tokens, num_heads, head_size] = [5, 3, 64], got "
      "[6, 3, 64]",
      [](Call& c) { c.suffix_output.Reshape({6, 3, 64}); });
  Refused("suffix_output must be on cpu (the device of prefix_output), got cuda:0",
          [](Call& c) { c.suffix_output.device.type = DeviceType::kCuda; });
  Refused(
      "prefix_output must be contiguous from dimension 2 on, got strides [384, 128, 2] for "
      "shape [5, 3, 64]",
      [](Call& c) { c.prefix_output.strides = {384, 128, 2}; });
  Refused("prefix_lse must be float32, got float16",
          [](Call& c) { c.prefix_lse.dtype = DType::kFloat16; });
  Refused("suffix_lse must have shape [num_heads, num_tokens] = [3, 5], got [5, 3]",
          [](Call& c) { c.suffix_lse.Reshape({5, 3}); });
  Refused("suffix_lse must be on cpu (the device of prefix_output), got cuda:0",
          [](Call& c) { c.suffix_lse.device.type = DeviceType::kCuda; });
  const std::string tokens =
      "prefill_tokens_with_context must be from 0 to 5 (prefix_num_tokens must be <= num_tokens), "
      "got ";
  Refused(tokens + "6", [](Call& c) { c.prefill_tokens_with_context = 6; });
  Refused(tokens + "-1", [](Call& c) { c.prefill_tokens_with_context = -1; });
}

void TestOutputs() {
  Refused(
      "output must be float16 (must match prefix_output dtype when output_scale is not set), "
      "got float8_e4m3fn",
      [](Call& c) { c.output.dtype = DType::kFloat8E4M3; });
  Refused("output must be float8_e4m3fn when output_scale is set, got float16",
          [](Call& c) { c.has_scale = true; });
  Refused("output_scale must have exactly one element, got shape [3]", [](Call& c) {
    c.has_scale = true;
    c.output_scale.Reshape({3});
  });
  Refused("output_scale must be on cpu (the device of prefix_output), got cuda:0", [](Call& c) {
    c.has_scale = true;
    c.output_scale.device.type = DeviceType::kCuda;
  });
  Refused("output must have shape [num_tokens, num_heads, head_size] = [5, 3, 64], got [5, 3, 32]",
          [](Call& c) { c.output.Reshape({5, 3, 32}); });
  Refused(
      "output must have memory of its own for every element, got strides [192, 0, 1] for shape "
      "[5, 3, 64]",
      [](Call& c) { c.output.strides = {192, 0, 1}; });
  Refused("output_lse must have shape [num_heads, num_tokens] = [3, 5], got [3, 4]",
          [](Call& c) { c.output_lse.Reshape({3, 4}); });
  Refused("output_lse must be float32, got bfloat16",
          [](Call& c) { c.output_lse.dtype = DType::kBFloat16; });
  const std::string overlap = ", got overlapping address ranges";
  Refused("output must share no memory with prefix_output" + overlap,
          [](Call& c) { c.output.address = c.prefix_output.address; });
  Refused("output must share no memory with suffix_output" + overlap,
          [](Call& c) { c.output.address = c.suffix_output.address; });
  Refused("output_lse must share no memory with prefix_lse" + overlap,
          [](Call& c) { c.output_lse.address = c.prefix_lse.address; });
  Refused("output_lse must share no memory with suffix_lse" + overlap,
          [](Call& c) { c.output_lse.address = c.suffix_lse.address; });
  Refused("output must share no memory with output_scale" + overlap, [](Call& c) {
    c.has_scale = true;
    c.output.dtype = DType::kFloat8E4M3;
    c.output_scale.address = c.output.address;
  });
  Refused("output must share no memory with output_lse" + overlap,
          [](Call& c) { c.output_lse.address = c.output.address; });
}

}  // namespace
}  // namespace stablekv

int main() {
  stablekv::TestParams();
  stablekv::TestAccepted();
  stablekv::TestInputs();
  stablekv::TestOutputs();
  return stablekv::testing::Finish();
}
