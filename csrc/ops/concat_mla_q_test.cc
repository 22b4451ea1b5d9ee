#include "csrc/ops/concat_mla_q.h"

#include <functional>
#include <string>

#include "csrc/ops/testing.h"

namespace stablekv {
namespace {

using testing::FakeTensor;

// A call that is right: 5 tokens of 3 heads.
struct Call {
  FakeTensor ql_nope{"ql_nope", DType::kBFloat16, {5, 3, 512}};
  FakeTensor q_pe{"q_pe", DType::kBFloat16, {5, 3, 64}};
  FakeTensor q_out{"q_out", DType::kBFloat16, {5, 3, 576}};

  Status Prepare(ConcatMlaQParams* params) const {
    return PrepareConcatMlaQ({ql_nope.arg(), q_pe.arg(), q_out.arg()}, params);
  }
};

using Change = std::function<void(Call&)>;

void Refused(const std::string& want, const Change& change) {
  Call call;
  change(call);
  ConcatMlaQParams params;
  CHECK_MESSAGE(call.Prepare(&params), "concat_mla_q: " + want);
}

void TestParams() {
  Call call;
  call.ql_nope.strides = {512, 5 * 512, 1};  // heads outermost
  call.q_pe.strides = {3000, 192, 1};
  call.q_out.strides = {4000, 600, 1};
  ConcatMlaQParams params;
  CHECK_MESSAGE(call.Prepare(&params), "");
  CHECK_THAT(params.ql_nope == call.ql_nope.arg().data, "");
  CHECK_THAT(params.q_pe == call.q_pe.arg().data, "");
  CHECK_THAT(params.q_out == call.q_out.arg().data, "");
  CHECK_EQUAL(params.num_tokens, 5, "");
  CHECK_EQUAL(params.num_heads, 3, "");
  CHECK_EQUAL(params.nope_dim, 512, "");
  CHECK_EQUAL(params.rope_dim, 64, "");
  CHECK_EQUAL(params.ql_nope_token_stride, 512, "");
  CHECK_EQUAL(params.ql_nope_head_stride, 2560, "");
  CHECK_EQUAL(params.q_pe_token_stride, 3000, "");
  CHECK_EQUAL(params.q_pe_head_stride, 192, "");
  CHECK_EQUAL(params.q_out_token_stride, 4000, "");
  CHECK_EQUAL(params.q_out_head_stride, 600, "");
}

void TestAccepted() {
  ConcatMlaQParams params;
  for (const int64_t nope_dim : {1024, 1536}) {
    Call call;
    call.ql_nope.dtype = call.q_pe.dtype = call.q_out.dtype = DType::kFloat16;
    call.ql_nope.Reshape({5, 3, nope_dim});
    call.q_out.Reshape({5, 3, nope_dim + 64});
    CHECK_MESSAGE(call.Prepare(&params), "");
    CHECK_EQUAL(params.nope_dim, nope_dim, "");
  }
  Call call;
  for (FakeTensor* tensor : {&call.ql_nope, &call.q_pe, &call.q_out}) {
    tensor->sizes[0] = 0;
    tensor->address = 0;
  }
  CHECK_MESSAGE(call.Prepare(&params), "");
  CHECK_EQUAL(params.num_tokens, 0, "");
}

void TestRefused() {
  Refused("ql_nope must be float16 or bfloat16, got float32",
          [](Call& c) { c.ql_nope.dtype = c.q_pe.dtype = c.q_out.dtype = DType::kFloat32; });
  Refused("q_pe must be bfloat16 (the dtype of ql_nope), got float16",
          [](Call& c) { c.q_pe.dtype = DType::kFloat16; });
  Refused("q_out must be bfloat16 (the dtype of ql_nope), got float32",
          [](Call& c) { c.q_out.dtype = DType::kFloat32; });
  Refused("ql_nope must be on the CPU or on a CUDA device, got a device that no operator runs on",
          [](Call& c) { c.ql_nope.device.type = DeviceType::kOther; });
  Refused("q_pe must be on cpu (the device of ql_nope), got cuda:1",
          [](Call& c) { c.q_pe.device = {DeviceType::kCuda, 1}; });
  Refused("q_out must be on cpu (the device of ql_nope), got cuda:0",
          [](Call& c) { c.q_out.device.type = DeviceType::kCuda; });
  Refused("ql_nope must have shape [num_tokens, num_heads, nope_dim], got [15, 512]",
          [](Call& c) { c.ql_nope.Reshape({15, 512}); });
  for (const int64_t nope_dim : {0, 128, 511, 768}) {
    Refused(
        "ql_nope must have a nope_dim that is a multiple of 512 and at least 512, got shape [5, "
        "3, " +
            std::to_string(nope_dim) + "]",
        [&](Call& c) { c.ql_nope.Reshape({5, 3, nope_dim}); });
  }
  const std::string q_pe =
      "q_pe must have shape [num_tokens, num_heads, rope_dim] = [5, 3, 64], got ";
  Refused(q_pe + "[5, 3, 32]", [](Call& c) { c.q_pe.Reshape({5, 3, 32}); });
  Refused(q_pe + "[5, 4, 64]", [](Call& c) { c.q_pe.Reshape({5, 4, 64}); });
  Refused(q_pe + "[6, 3, 64]", [](Call& c) { c.q_pe.Reshape({6, 3, 64}); });
  Refused(
      "q_out must have shape [num_tokens, num_heads, nope_dim + rope_dim] = [5, 3, 576], got [5, "
      "3, 512]",
      [](Call& c) { c.q_out.Reshape({5, 3, 512}); });
  for (FakeTensor Call::* tensor : {&Call::ql_nope, &Call::q_pe, &Call::q_out}) {
    const Call names;
    const std::string size = std::to_string((names.*tensor).sizes[2]);
    Refused(std::string((names.*tensor).name) +
                " must be contiguous from dimension 2 on, got strides [9000, 3000, 2] for shape "
                "[5, 3, " +
                size + "]",
            [&](Call& c) { (c.*tensor).strides = {9000, 3000, 2}; });
  }
  Refused(
      "q_out must have memory of its own for every element, got strides [0, 576, 1] for shape "
      "[5, 3, 576]",
      [](Call& c) { c.q_out.strides[0] = 0; });
  Refused("q_out must share no memory with ql_nope, got overlapping address ranges",
          [](Call& c) { c.ql_nope.address = c.q_out.address; });
  Refused("q_out must share no memory with q_pe, got overlapping address ranges",
          [](Call& c) { c.q_pe.address = c.q_out.address; });
}

}  // namespace
}  // namespace stablekv

int main() {
  stablekv::TestParams();
  stablekv::TestAccepted();
  stablekv::TestRefused();
  return stablekv::testing::Finish();
}
