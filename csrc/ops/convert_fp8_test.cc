#include "csrc/ops/convert_fp8.h"

#include <functional>
#include <string>

#include "csrc/ops/testing.h"

namespace stablekv {
namespace {

using testing::FakeTensor;

// A call that is right: bfloat16 to fp8.
struct Call {
  FakeTensor dst_cache{"dst_cache", DType::kUInt8, {4, 3, 8}};
  FakeTensor src_cache{"src_cache", DType::kBFloat16, {4, 3, 8}};
  double scale = 0.1;
  std::string kv_cache_dtype = "fp8";

  Status Prepare(ConvertFp8Params* params) const {
    return PrepareConvertFp8({dst_cache.arg(), src_cache.arg(), scale, kv_cache_dtype}, params);
  }
};

using Change = std::function<void(Call&)>;

void Refused(const std::string& want, const Change& change) {
  Call call;
  change(call);
  ConvertFp8Params params;
  CHECK_MESSAGE(call.Prepare(&params), "convert_fp8: " + want);
}

void TestParams() {
  Call call;
  ConvertFp8Params params;
  CHECK_MESSAGE(call.Prepare(&params), "");
  CHECK_THAT(params.elements == call.src_cache.arg().data, "");
  CHECK_THAT(params.fp8 == call.dst_cache.arg().data, "");
  CHECK_THAT(params.to_fp8, "");
  CHECK_EQUAL(params.count, 96, "");
  CHECK_EQUAL(params.scale, 0.1f, "");
  CHECK_THAT(params.element == ElementType::kBFloat16, "");
  CHECK_THAT(params.cache == CacheType::kFp8E4M3, "");

  call.kv_cache_dtype = "fp8_e5m2";
  call.dst_cache.dtype = DType::kFloat32;
  call.src_cache.dtype = DType::kFloat8E5M2;
  call.dst_cache.strides = call.src_cache.strides = {8, 32, 1};
  CHECK_MESSAGE(call.Prepare(&params), "");
  CHECK_THAT(params.elements == call.dst_cache.arg().data, "");
  CHECK_THAT(params.fp8 == call.src_cache.arg().data, "");
  CHECK_THAT(!params.to_fp8, "");
  CHECK_THAT(params.element == ElementType::kFloat32, "");
  CHECK_THAT(params.cache == CacheType::kFp8E5M2, "");

  for (FakeTensor* tensor : {&call.dst_cache, &call.src_cache}) {
    tensor->sizes[0] = 0;
    tensor->address = 0;
  }
  CHECK_MESSAGE(call.Prepare(&params), "");
  CHECK_EQUAL(params.count, 0, "");
  call.dst_cache.strides = {8, 32, 1};
  call.src_cache.strides = {24, 8, 1};
  CHECK_MESSAGE(call.Prepare(&params), "");  // strides of no elements do not matter
}

void TestTheStrideOfOneElementDoesNotMatter() {
  Call call;
  call.dst_cache.Reshape({4, 1, 8});
  call.src_cache.Reshape({4, 1, 8});
  call.dst_cache.strides[1] = 5;
  ConvertFp8Params params;
  CHECK_MESSAGE(call.Prepare(&params), "");
  CHECK_EQUAL(params.count, 32, "");
}

void TestRefused() {
  Refused("kv_cache_dtype must be \"fp8\", \"fp8_e4m3\" or \"fp8_e5m2\", got \"auto\"",
          [](Call& c) { c.kv_cache_dtype = "auto"; });
  Refused("dst_cache must be float8_e4m3fn or uint8 where src_cache is bfloat16, got float16",
          [](Call& c) { c.dst_cache.dtype = DType::kFloat16; });
  Refused("dst_cache must be float8_e5m2 or uint8 where src_cache is bfloat16, got float8_e4m3fn",
          [](Call& c) {
            c.dst_cache.dtype = DType::kFloat8E4M3;
            c.kv_cache_dtype = "fp8_e5m2";
          });
  Refused("src_cache must be float8_e4m3fn or uint8 where dst_cache is float16, got int8",
          [](Call& c) {
            c.dst_cache.dtype = DType::kFloat16;
            c.src_cache.dtype = DType::kInt8;
          });
  Refused(
      "src_cache must be float32, float16 or bfloat16 where dst_cache is none of these, but uint8, "
      "got uint8",
      [](Call& c) { c.src_cache.dtype = DType::kUInt8; });
  Refused("src_cache must be on the CPU or on a CUDA device, got a device that no operator runs on",
          [](Call& c) { c.src_cache.device.type = DeviceType::kOther; });
  Refused("dst_cache must be on cpu (the device of src_cache), got cuda:0",
          [](Call& c) { c.dst_cache.device.type = DeviceType::kCuda; });
  Refused(
      "src_cache must have memory for all its elements, got a storage that was freed or is too "
      "small for shape [4, 3, 8]",
      [](Call& c) { c.src_cache.address = 0; });
  Refused(
      "src_cache must be without gaps between its elements, got strides [48, 16, 2] for shape "
      "[4, 3, 8]",
      [](Call& c) { c.src_cache.strides = {48, 16, 2}; });
  Refused(  // as far from the first element to the last one as without gaps
      "src_cache must be without gaps between its elements, got strides [0, 44, 1] for shape "
      "[4, 3, 8]",
      [](Call& c) { c.src_cache.strides = {0, 44, 1}; });
  Refused(
      "dst_cache must be without gaps between its elements, got strides [0, 8, 1] for shape "
      "[4, 3, 8]",
      [](Call& c) { c.dst_cache.strides[0] = 0; });
  Refused("dst_cache must have shape [4, 3, 8] (that of src_cache), got [4, 24]",
          [](Call& c) { c.dst_cache.Reshape({4, 24}); });
  Refused("dst_cache must have shape [4, 3, 8] (that of src_cache), got [3, 4, 8]",
          [](Call& c) { c.dst_cache.Reshape({3, 4, 8}); });
  Refused("dst_cache must have strides [24, 8, 1] (those of src_cache), got [8, 32, 1]",
          [](Call& c) { c.dst_cache.strides = {8, 32, 1}; });
  Refused("dst_cache must share no memory with src_cache, got overlapping address ranges",
          [](Call& c) { c.dst_cache.address = c.src_cache.address + 100; });
}

}  // namespace
}  // namespace stablekv

int main() {
  stablekv::TestParams();
  stablekv::TestTheStrideOfOneElementDoesNotMatter();
  stablekv::TestRefused();
  return stablekv::testing::Finish();
}
