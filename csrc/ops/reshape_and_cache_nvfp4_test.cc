#include "csrc/ops/reshape_and_cache_nvfp4.h"

#include <cstdint>
#include <functional>
#include <string>

#include "csrc/ops/testing.h"

namespace stablekv {
namespace {

using testing::FakeTensor;

// A call that is right: 5 tokens of 3 heads of 128 elements, 7 blocks of 16. A row takes 72 bytes.
struct Call {
  FakeTensor key{"key", DType::kBFloat16, {5, 3, 128}};
  FakeTensor value{"value", DType::kBFloat16, {5, 3, 128}};
  FakeTensor key_cache{"key_cache", DType::kUInt8, {7, 16, 3, 72}};
  FakeTensor value_cache{"value_cache", DType::kUInt8, {7, 16, 3, 72}};
  FakeTensor slot_mapping{"slot_mapping", DType::kInt64, {5}};
  FakeTensor k_scale{"k_scale", DType::kFloat32, {}};
  FakeTensor v_scale{"v_scale", DType::kFloat32, {}};

  Status Prepare(ReshapeAndCacheNvfp4Params* params) const {
    return PrepareReshapeAndCacheNvfp4({key.arg(), value.arg(), key_cache.arg(), value_cache.arg(),
                                        slot_mapping.arg(), kNvfp4, k_scale.arg(), v_scale.arg()},
                                       params);
  }
};

void Refused(const std::string& want, const std::function<void(Call&)>& change) {
  Call call;
  change(call);
  ReshapeAndCacheNvfp4Params params;
  CHECK_MESSAGE(call.Prepare(&params), "reshape_and_cache_flash: " + want);
}

void TestParams() {
  Call call;
  call.key.strides = {1000, 150, 1};
  call.value.strides = {2000, 160, 1};
  call.key_cache.strides[0] = 9000;
  call.value_cache.strides[0] = 8000;
  ReshapeAndCacheNvfp4Params params;
  CHECK_MESSAGE(call.Prepare(&params), "");
  CHECK_THAT(params.key.source == call.key.arg().data, "");
  CHECK_THAT(params.key.cache == call.key_cache.arg().data, "");
  CHECK_THAT(params.key.scale == call.k_scale.arg().data, "");
  CHECK_EQUAL(params.key.source_token_stride, 1000, "");
  CHECK_EQUAL(params.key.source_head_stride, 150, "");
  CHECK_EQUAL(params.key.page_stride, 9000, "");
  CHECK_THAT(params.value.source == call.value.arg().data, "");
  CHECK_THAT(params.value.cache == call.value_cache.arg().data, "");
  CHECK_THAT(params.value.scale == call.v_scale.arg().data, "");
  CHECK_EQUAL(params.value.source_token_stride, 2000, "");
  CHECK_EQUAL(params.value.source_head_stride, 160, "");
  CHECK_EQUAL(params.value.page_stride, 8000, "");
  CHECK_THAT(params.slot_mapping == call.slot_mapping.arg().data, "");
  CHECK_EQUAL(params.num_tokens, 5, "");
  CHECK_EQUAL(params.num_blocks, 7, "");
  CHECK_EQUAL(params.block_size, 16, "");
  CHECK_EQUAL(params.num_heads, 3, "");
  CHECK_EQUAL(params.head_size, 128, "");
  CHECK_THAT(!params.hnd, "");
  CHECK_THAT(params.element == ElementType::kBFloat16, "");
}

void TestHeadsOutside() {
  Call call;
  call.key_cache.strides = call.value_cache.strides = {3456, 72, 1152, 1};
  ReshapeAndCacheNvfp4Params params;
  CHECK_MESSAGE(call.Prepare(&params), "");
  CHECK_THAT(params.hnd, "");
}

void TestTheStrideOfOneHeadDoesNotMatter() {
  Call call;
  call.key.Reshape({5, 1, 128});
  call.value.Reshape({5, 1, 128});
  call.key_cache.Reshape({7, 16, 1, 72});
  call.value_cache.Reshape({7, 16, 1, 72});
  call.key_cache.strides[2] = 1152;
  call.value_cache.strides[2] = 5;
  ReshapeAndCacheNvfp4Params params;
  CHECK_MESSAGE(call.Prepare(&params), "");
}

void TestNoElementsOfSizesThatNoProductHolds() {
  Call call;
  for (FakeTensor* rows : {&call.key, &call.value}) rows->Reshape({0, 4, int64_t{1} << 62});
  for (FakeTensor* cache : {&call.key_cache, &call.value_cache}) {
    cache->Reshape({0, 16, 4, 9 * (int64_t{1} << 58)});
  }
  call.slot_mapping.Reshape({0});
  ReshapeAndCacheNvfp4Params params;
  CHECK_MESSAGE(call.Prepare(&params), "");
}

void TestRefused() {
  Refused("kv_cache_dtype must be another than \"nvfp4\" for a key of float32, got \"nvfp4\"",
          [](Call& call) { call.key.dtype = call.value.dtype = DType::kFloat32; });
  Refused("key must have a head size that is a multiple of 64 for nvfp4, got 96", [](Call& call) {
    call.key.Reshape({5, 3, 96});
    call.value.Reshape({5, 3, 96});
  });
  Refused("key_cache must have a block size that is a multiple of 4 for nvfp4, got 14",
          [](Call& call) { call.key_cache.Reshape({7, 14, 3, 72}); });
  Refused(
      "key_cache must have pages without gaps, in the NHD order of key_cache, "
      "got strides [4000, 220, 72, 1] for shape [7, 16, 3, 72]",
      [](Call& call) { call.key_cache.strides = {4000, 220, 72, 1}; });
  Refused(  // rows and tokens are where they are to be, bytes of a row apart
      "key_cache must have pages without gaps, in the NHD order of key_cache, "
      "got strides [248832, 216, 72, 3456] for shape [7, 16, 3, 72]",
      [](Call& call) { call.key_cache.strides = {248832, 216, 72, 3456}; });
  Refused(
      "value_cache must have pages without gaps, in the NHD order of key_cache, "
      "got strides [3456, 72, 1152, 1] for shape [7, 16, 3, 72]",
      [](Call& call) { call.value_cache.strides = {3456, 72, 1152, 1}; });
}

}  // namespace
}  // namespace stablekv

int main() {
  stablekv::TestParams();
  stablekv::TestHeadsOutside();
  stablekv::TestTheStrideOfOneHeadDoesNotMatter();
  stablekv::TestNoElementsOfSizesThatNoProductHolds();
  stablekv::TestRefused();
  return stablekv::testing::Finish();
}
