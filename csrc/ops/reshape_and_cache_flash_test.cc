#include "csrc/ops/reshape_and_cache_flash.h"

#include <functional>
#include <string>

#include "csrc/ops/testing.h"

namespace stablekv {
namespace {

using testing::FakeTensor;

// A call that is right: 5 tokens of 3 heads of 46 elements, 7 blocks of 16.
struct Call {
  FakeTensor key{"key", DType::kFloat16, {5, 3, 46}};
  FakeTensor value{"value", DType::kFloat16, {5, 3, 46}};
  FakeTensor key_cache{"key_cache", DType::kFloat16, {7, 16, 3, 46}};
  FakeTensor value_cache{"value_cache", DType::kFloat16, {7, 16, 3, 46}};
  FakeTensor slot_mapping{"slot_mapping", DType::kInt64, {5}};
  std::string kv_cache_dtype = "auto";
  FakeTensor k_scale{"k_scale", DType::kFloat32, {}};
  FakeTensor v_scale{"v_scale", DType::kFloat32, {}};

  Status Prepare(ReshapeAndCacheFlashParams* params) const {
    return PrepareReshapeAndCacheFlash(
        {key.arg(), value.arg(), key_cache.arg(), value_cache.arg(), slot_mapping.arg(),
         kv_cache_dtype, k_scale.arg(), v_scale.arg()},
        params);
  }
};

void Refused(const std::string& want, const std::function<void(Call&)>& change) {
  Call call;
  change(call);
  ReshapeAndCacheFlashParams params;
  CHECK_MESSAGE(call.Prepare(&params), "reshape_and_cache_flash: " + want);
}

void TestParams() {
  Call call;
  call.key.strides = {1000, 50, 1};
  call.value.strides = {2000, 60, 1};
  call.key_cache.strides = {9000, 150, 47, 1};
  call.value_cache.strides = {8000, 48, 1000, 1};
  call.k_scale.Reshape({3});
  call.v_scale.Reshape({3});
  ReshapeAndCacheFlashParams params;
  CHECK_MESSAGE(call.Prepare(&params), "");
  CHECK_THAT(params.key.source == call.key.arg().data, "");
  CHECK_THAT(params.key.cache == call.key_cache.arg().data, "");
  CHECK_THAT(params.key.scale == call.k_scale.arg().data, "");
  CHECK_EQUAL(params.key.source_token_stride, 1000, "");
  CHECK_EQUAL(params.key.source_head_stride, 50, "");
  CHECK_EQUAL(params.key.cache_block_stride, 9000, "");
  CHECK_EQUAL(params.key.cache_token_stride, 150, "");
  CHECK_EQUAL(params.key.cache_head_stride, 47, "");
  CHECK_THAT(params.value.source == call.value.arg().data, "");
  CHECK_THAT(params.value.cache == call.value_cache.arg().data, "");
  CHECK_THAT(params.value.scale == call.v_scale.arg().data, "");
  CHECK_EQUAL(params.value.source_token_stride, 2000, "");
  CHECK_EQUAL(params.value.source_head_stride, 60, "");
  CHECK_EQUAL(params.value.cache_block_stride, 8000, "");
  CHECK_EQUAL(params.value.cache_token_stride, 48, "");
  CHECK_EQUAL(params.value.cache_head_stride, 1000, "");
  CHECK_THAT(params.slot_mapping == call.slot_mapping.arg().data, "");
  CHECK_EQUAL(params.num_tokens, 5, "");
  CHECK_EQUAL(params.num_blocks, 7, "");
  CHECK_EQUAL(params.block_size, 16, "");
  CHECK_EQUAL(params.num_heads, 3, "");
  CHECK_EQUAL(params.head_size, 46, "");
  CHECK_EQUAL(params.scale_stride, 1, "");
  CHECK_THAT(params.element == ElementType::kFloat16, "");
  CHECK_THAT(params.cache == CacheType::kAuto, "");
}

void TestAccepted() {
  ReshapeAndCacheFlashParams params;
  Call call;
  CHECK_MESSAGE(call.Prepare(&params), "");
  CHECK_EQUAL(params.scale_stride, 0, "");
  call.k_scale.Reshape({1, 1});
  call.v_scale.Reshape({1, 1});
  CHECK_MESSAGE(call.Prepare(&params), "");
  CHECK_EQUAL(params.scale_stride, 0, "");
  call.key_cache.dtype = DType::kUInt8;
  call.value_cache.dtype = DType::kFloat8E5M2;
  call.kv_cache_dtype = "fp8_e5m2";
  CHECK_MESSAGE(call.Prepare(&params), "");
  CHECK_THAT(params.cache == CacheType::kFp8E5M2, "");
  Call turns;  // keys and values of a block in turns
  turns.value_cache.address = turns.key_cache.address + 16 * 3 * 46 * 2;
  turns.key_cache.strides[0] = turns.value_cache.strides[0] = 2 * 16 * 3 * 46;
  CHECK_MESSAGE(turns.Prepare(&params), "");
  turns.slot_mapping.Reshape({3});
  CHECK_MESSAGE(turns.Prepare(&params), "");
  CHECK_EQUAL(params.num_tokens, 3, "");
}

void TestRefused() {
  Refused("value must be float16 (the dtype of key), got bfloat16",
          [](Call& c) { c.value.dtype = DType::kBFloat16; });
  Refused("value must have shape [num_tokens, num_heads, head_size] = [any, 3, 46], got [5, 3, 45]",
          [](Call& c) { c.value.Reshape({5, 3, 45}); });
  Refused("key must have at least one head of at least one element, got shape [5, 0, 46]",
          [](Call& c) { c.key.Reshape({5, 0, 46}); });
  Refused("value must have at least 5 tokens (the size of slot_mapping), got shape [4, 3, 46]",
          [](Call& c) { c.value.Reshape({4, 3, 46}); });
  Refused(
      "key_cache must have shape [num_blocks, block_size, num_heads, head_size] = [any, any, 3, "
      "46], got [7, 3, 16, 46]",
      [](Call& c) { c.key_cache.Reshape({7, 3, 16, 46}); });
  Refused(
      "value_cache must have shape [num_blocks, block_size, num_heads, head_size] = [7, 16, 3, "
      "46], got [7, 8, 3, 46]",
      [](Call& c) { c.value_cache.Reshape({7, 8, 3, 46}); });
  Refused("key_cache must have a block size of at least 1, got 0",
          [](Call& c) { c.key_cache.Reshape({7, 0, 3, 46}); });
  Refused(
      "value_cache must be contiguous from dimension 3 on, got strides [4416, 276, 92, 2] for "
      "shape [7, 16, 3, 46]",
      [](Call& c) { c.value_cache.strides = {4416, 276, 92, 2}; });
  Refused(
      "key_cache must have memory of its own for every element, got strides [2208, 138, 45, 1] for "
      "shape [7, 16, 3, 46]",
      [](Call& c) { c.key_cache.strides[2] = 45; });
  Refused("key_cache must share no memory with value_cache, got overlapping address ranges",
          [](Call& c) { c.value_cache.address = c.key_cache.address; });
  Refused("value_cache must share no memory with slot_mapping, got overlapping address ranges",
          [](Call& c) { c.slot_mapping.address = c.value_cache.address; });
  Refused("key_cache must be float16 (the dtype of key) for kv_cache_dtype \"auto\", got uint8",
          [](Call& c) { c.key_cache.dtype = DType::kUInt8; });
  Refused("k_scale must be float32, got float16",
          [](Call& c) { c.k_scale.dtype = DType::kFloat16; });
  Refused("k_scale must have one element or one a head (num_heads is 3), got shape [2]",
          [](Call& c) { c.k_scale.Reshape({2}); });
  Refused("v_scale must have shape [3] (the shape of k_scale), got []",
          [](Call& c) { c.k_scale.Reshape({3}); });
  Refused("v_scale must have shape [] (the shape of k_scale), got [1]",
          [](Call& c) { c.v_scale.Reshape({1}); });
  Refused("v_scale must be contiguous, got strides [2] for shape [3]", [](Call& c) {
    c.k_scale.Reshape({3});
    c.v_scale.Reshape({3});
    c.v_scale.strides = {2};
  });
}

}  // namespace
}  // namespace stablekv

int main() {
  stablekv::TestParams();
  stablekv::TestAccepted();
  stablekv::TestRefused();
  return stablekv::testing::Finish();
}
