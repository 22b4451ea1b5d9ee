#include "csrc/ops/reshape_and_cache.h"

#include <functional>
#include <string>

#include "csrc/ops/testing.h"

namespace stablekv {
namespace {

using testing::FakeTensor;

// A call that is right: 5 tokens, 3 heads of 64, 7 blocks of 16.
struct Call {
  FakeTensor key{"key", DType::kFloat16, {5, 3, 64}};
  FakeTensor value{"value", DType::kFloat16, {5, 3, 64}};
  FakeTensor key_cache{"key_cache", DType::kFloat16, {7, 3, 8, 16, 8}};
  FakeTensor value_cache{"value_cache", DType::kFloat16, {7, 3, 64, 16}};
  FakeTensor slot_mapping{"slot_mapping", DType::kInt64, {5}};
  std::string kv_cache_dtype = "auto";
  FakeTensor k_scale{"k_scale", DType::kFloat32, {}};
  FakeTensor v_scale{"v_scale", DType::kFloat32, {1}};

  // The same with a one-byte cache.
  static Call Fp8(const char* kv_cache_dtype, DType dtype) {
    Call call;
    call.kv_cache_dtype = kv_cache_dtype;
    call.key_cache.dtype = call.value_cache.dtype = dtype;
    call.key_cache.Reshape({7, 3, 4, 16, 16});
    return call;
  }

  Status Prepare(ReshapeAndCacheParams* params) const {
    return PrepareReshapeAndCache(
        {key.arg(), value.arg(), key_cache.arg(), value_cache.arg(), slot_mapping.arg(),
         kv_cache_dtype, k_scale.arg(), v_scale.arg()},
        params);
  }
};

using Change = std::function<void(Call&)>;

// The message of a right call after `change`; "" when it stays right.
Status After(const Change& change, ReshapeAndCacheParams* params = nullptr) {
  Call call;
  change(call);
  ReshapeAndCacheParams ignored;
  return call.Prepare(params == nullptr ? &ignored : params);
}

void TestParams() {
  Call call;
  call.key.strides = {1000, 70, 1};
  call.value.strides = {2000, 80, 1};
  call.key_cache.strides = {100000, 9000, 128, 8, 1};
  call.value_cache.strides = {200000, 8000, 16, 1};
  ReshapeAndCacheParams params;
  CHECK_MESSAGE(call.Prepare(&params), "");
  CHECK_THAT(params.key == call.key.arg().data, "");
  CHECK_THAT(params.value == call.value.arg().data, "");
  CHECK_THAT(params.key_cache == call.key_cache.arg().data, "");
  CHECK_THAT(params.value_cache == call.value_cache.arg().data, "");
  CHECK_THAT(params.slot_mapping == call.slot_mapping.arg().data, "");
  CHECK_THAT(params.k_scale == call.k_scale.arg().data, "");
  CHECK_THAT(params.v_scale == call.v_scale.arg().data, "");
  CHECK_EQUAL(params.num_tokens, 5, "");
  CHECK_EQUAL(params.num_blocks, 7, "");
  CHECK_EQUAL(params.num_heads, 3, "");
  CHECK_EQUAL(params.head_size, 64, "");
  CHECK_EQUAL(params.block_size, 16, "");
  CHECK_EQUAL(params.x, 8, "");
  CHECK_EQUAL(params.key_token_stride, 1000, "");
  CHECK_EQUAL(params.key_head_stride, 70, "");
  CHECK_EQUAL(params.value_token_stride, 2000, "");
  CHECK_EQUAL(params.value_head_stride, 80, "");
  CHECK_EQUAL(params.key_cache_block_stride, 100000, "");
  CHECK_EQUAL(params.key_cache_head_stride, 9000, "");
  CHECK_EQUAL(params.value_cache_block_stride, 200000, "");
  CHECK_EQUAL(params.value_cache_head_stride, 8000, "");
  CHECK_THAT(params.element == ElementType::kFloat16, "");
  CHECK_THAT(params.cache == CacheType::kAuto, "");
}

void TestAccepted() {
  ReshapeAndCacheParams params;
  const auto accepted = [&](const Change& change) { CHECK_MESSAGE(After(change, &params), ""); };

  accepted([](Call& c) {  // more keys than slots: only the first are taken
    c.slot_mapping.Reshape({2});
    c.value.Reshape({4, 3, 64});
  });
  CHECK_EQUAL(params.num_tokens, 2, "");
  accepted([](Call& c) {  // nothing to do
    c.slot_mapping.Reshape({0});
    c.key.Reshape({0, 3, 64});
    c.value.Reshape({0, 3, 64});
    c.key.address = c.value.address = c.slot_mapping.address = 0;
  });
  CHECK_EQUAL(params.num_tokens, 0, "");
  accepted([](Call& c) {  // any block size, no blocks at all
    c.key_cache.Reshape({0, 3, 8, 5, 8});
    c.value_cache.Reshape({0, 3, 64, 5});
  });
  CHECK_EQUAL(params.block_size, 5, "");
  accepted([](Call& c) {  // slices of one packed tensor [tokens, 3, heads, head_size]
    c.value.address = c.key.address + 3 * 64 * 2;
    c.key.strides = c.value.strides = {3 * 3 * 64, 64, 1};
  });
  accepted([](Call& c) {  // both caches in one tensor [blocks, 2, ...]
    const int64_t block = 3 * 64 * 16;
    c.key_cache.strides[0] = c.value_cache.strides[0] = 2 * block;
    c.value_cache.address = c.key_cache.address + block * 2;
  });
  accepted([](Call& c) { c.k_scale.Reshape({1, 1, 1}); });
  accepted([](Call& c) {
    for (FakeTensor* tensor : {&c.key, &c.value, &c.key_cache, &c.value_cache, &c.slot_mapping,
                               &c.k_scale, &c.v_scale}) {
      tensor->device = {DeviceType::kCuda, 3};
    }
  });
  accepted([](Call& c) { c.kv_cache_dtype = "float16"; });
  accepted([](Call& c) {
    for (FakeTensor* tensor : {&c.key, &c.value, &c.key_cache, &c.value_cache}) {
      tensor->dtype = DType::kBFloat16;
    }
    c.kv_cache_dtype = "bfloat16";
  });
  CHECK_THAT(params.element == ElementType::kBFloat16, "");
  accepted([](Call& c) {
    for (FakeTensor* tensor : {&c.key, &c.value, &c.key_cache, &c.value_cache}) {
      tensor->dtype = DType::kFloat32;
    }
    c.key_cache.Reshape({7, 3, 16, 16, 4});
  });
  CHECK_EQUAL(params.x, 4, "");
  CHECK_THAT(params.element == ElementType::kFloat32, "");

  const struct {
    const char* text;
    DType dtype;
    CacheType want;
  } fp8[] = {
      {"fp8", DType::kUInt8, CacheType::kFp8E4M3},
      {"fp8", DType::kFloat8E4M3, CacheType::kFp8E4M3},
      {"fp8_e4m3", DType::kUInt8, CacheType::kFp8E4M3},
      {"fp8_e4m3", DType::kFloat8E4M3, CacheType::kFp8E4M3},
      {"fp8_e5m2", DType::kUInt8, CacheType::kFp8E5M2},
      {"fp8_e5m2", DType::kFloat8E5M2, CacheType::kFp8E5M2},
  };
  for (const auto& c : fp8) {
    for (const DType source : {DType::kFloat32, DType::kFloat16, DType::kBFloat16}) {
      Call call = Call::Fp8(c.text, c.dtype);
      call.key.dtype = call.value.dtype = source;
      CHECK_MESSAGE(call.Prepare(&params), "");
      CHECK_THAT(params.cache == c.want, c.text);
      CHECK_EQUAL(params.x, 16, c.text);
    }
  }
}

void Refused(const std::string& want, const Change& change) {
  CHECK_MESSAGE(After(change), "reshape_and_cache: " + want);
}

void TestKeyAndValue() {
  Refused(
      "key must be float32, float16 or bfloat16, got float64 (Unsupported input type of kv cache: "
      "float64)",
      [](Call& c) { c.key.dtype = DType::kFloat64; });
  Refused("value must be float16 (the dtype of key), got bfloat16",
          [](Call& c) { c.value.dtype = DType::kBFloat16; });
  Refused("key must be on the CPU or on a CUDA device, got a device that no operator runs on",
          [](Call& c) { c.key.device.type = DeviceType::kOther; });
  Refused("value must be on cpu (the device of key), got cuda:1",
          [](Call& c) { c.value.device = {DeviceType::kCuda, 1}; });
  Refused("key must have shape [num_tokens, num_heads, head_size], got [5, 192]",
          [](Call& c) { c.key.Reshape({5, 192}); });
  Refused("key must have at least one head of at least one element, got shape [5, 0, 64]",
          [](Call& c) { c.key.Reshape({5, 0, 64}); });
  Refused("key must have at least one head of at least one element, got shape [5, 3, 0]",
          [](Call& c) { c.key.Reshape({5, 3, 0}); });
  Refused("value must have shape [num_tokens, num_heads, head_size] = [any, 3, 64], got [5, 3, 32]",
          [](Call& c) { c.value.Reshape({5, 3, 32}); });
  Refused(
      "key must be contiguous from dimension 2 on, got strides [384, 128, 2] for shape [5, 3, 64]",
      [](Call& c) { c.key.strides = {384, 128, 2}; });
  Refused(
      "value must be contiguous from dimension 2 on, got strides [192, 1, 3] for shape [5, 3, 64]",
      [](Call& c) { c.value.strides = {192, 1, 3}; });
  Refused("key must have at least 5 tokens (the size of slot_mapping), got shape [4, 3, 64]",
          [](Call& c) { c.key.Reshape({4, 3, 64}); });
  Refused("value must have at least 5 tokens (the size of slot_mapping), got shape [4, 3, 64]",
          [](Call& c) { c.value.Reshape({4, 3, 64}); });
  Refused(
      "key must have memory for all its elements, got a storage that was freed or is too small for "
      "shape [5, 3, 64]",
      [](Call& c) { c.key.address = 0; });
  Refused(
      "value must begin at a multiple of 2 bytes (its dtype is float16), got an address 1 past one",
      [](Call& c) { c.value.address += 1; });
}

void TestCaches() {
  Refused("key_cache must be float16 (the dtype of key) for kv_cache_dtype \"auto\", got uint8",
          [](Call& c) { c.key_cache.dtype = DType::kUInt8; });
  Refused("value_cache must be float16 (the dtype of key) for kv_cache_dtype \"auto\", got float32",
          [](Call& c) { c.value_cache.dtype = DType::kFloat32; });
  Refused("key_cache must be on cpu (the device of key), got cuda:0",
          [](Call& c) { c.key_cache.device.type = DeviceType::kCuda; });
  Refused("value_cache must be on cpu (the device of key), got cuda:0",
          [](Call& c) { c.value_cache.device.type = DeviceType::kCuda; });
  Refused(
      "key_cache must have shape [num_blocks, num_kv_heads, head_size / x, block_size, x] = "
      "[any, 3, 8, any, 8], got [7, 3, 16, 16, 4]",
      [](Call& c) { c.key_cache.Reshape({7, 3, 16, 16, 4}); });
  Refused(
      "key_cache must have shape [num_blocks, num_kv_heads, head_size / x, block_size, x] = "
      "[any, 3, 8, any, 8], got [7, 3, 64, 16]",
      [](Call& c) { c.key_cache.Reshape({7, 3, 64, 16}); });
  Refused("key_cache must have a block size of at least 1, got 0",
          [](Call& c) { c.key_cache.Reshape({7, 3, 8, 0, 8}); });
  Refused(
      "value_cache must have shape [num_blocks, num_kv_heads, head_size, block_size] = "
      "[7, 3, 64, 16], got [7, 3, 64, 8]",
      [](Call& c) { c.value_cache.Reshape({7, 3, 64, 8}); });
  Refused(
      "value_cache must have shape [num_blocks, num_kv_heads, head_size, block_size] = "
      "[7, 3, 64, 16], got [6, 3, 64, 16]",
      [](Call& c) { c.value_cache.Reshape({6, 3, 64, 16}); });
  Refused("key must have a head size that is a multiple of 8 for kv_cache_dtype \"auto\", got 60",
          [](Call& c) {
            c.key.Reshape({5, 3, 60});
            c.value.Reshape({5, 3, 60});
          });
  Refused(
      "key_cache must be contiguous from dimension 2 on, got strides [6144, 2048, 8, 64, 1] for "
      "shape [7, 3, 8, 16, 8]",
      [](Call& c) { c.key_cache.strides = {6144, 2048, 8, 64, 1}; });
  Refused(
      "value_cache must be contiguous from dimension 2 on, got strides [3072, 1024, 1, 64] for "
      "shape [7, 3, 64, 16]",
      [](Call& c) { c.value_cache.strides = {3072, 1024, 1, 64}; });
}

void TestWrittenMemory() {
  Refused(
      "key_cache must have memory of its own for every element, got strides [0, 1024, 128, 8, 1] "
      "for shape [7, 3, 8, 16, 8]",
      [](Call& c) { c.key_cache.strides[0] = 0; });
  Refused(
      "value_cache must have memory of its own for every element, got strides [3072, 512, 16, 1] "
      "for shape [7, 3, 64, 16]",
      [](Call& c) { c.value_cache.strides[1] = 512; });
  const std::string overlap = ", got overlapping address ranges";
  Refused("key_cache must share no memory with value_cache" + overlap,
          [](Call& c) { c.value_cache.address = c.key_cache.address + 1024; });
  Refused("key_cache must share no memory with key" + overlap,
          [](Call& c) { c.key.address = c.key_cache.address; });
  Refused("key_cache must share no memory with value" + overlap,
          [](Call& c) { c.value.address = c.key_cache.address; });
  Refused("value_cache must share no memory with key" + overlap,
          [](Call& c) { c.key.address = c.value_cache.address; });
  Refused("value_cache must share no memory with value" + overlap,
          [](Call& c) { c.value.address = c.value_cache.address; });
  for (FakeTensor Call::* const cache : {&Call::key_cache, &Call::value_cache}) {
    for (FakeTensor Call::* const read : {&Call::slot_mapping, &Call::k_scale, &Call::v_scale}) {
      const Call names;
      Refused(std::string((names.*cache).name) + " must share no memory with " +
                  (names.*read).name + overlap,
              [&](Call& c) { (c.*read).address = (c.*cache).address; });
    }
  }
}

void TestSlotsAndScales() {
  Refused("slot_mapping must be int64, got int32",
          [](Call& c) { c.slot_mapping.dtype = DType::kInt32; });
  Refused("slot_mapping must be on cpu (the device of key), got cuda:0",
          [](Call& c) { c.slot_mapping.device.type = DeviceType::kCuda; });
  Refused("slot_mapping must have shape [num_tokens], got [5, 1]",
          [](Call& c) { c.slot_mapping.Reshape({5, 1}); });
  Refused("slot_mapping must be contiguous, got strides [2] for shape [5]",
          [](Call& c) { c.slot_mapping.strides = {2}; });
  for (const char* name : {"k_scale", "v_scale"}) {
    const auto scale = [name](Call& c) -> FakeTensor& {
      return name[0] == 'k' ? c.k_scale : c.v_scale;
    };
    Refused(std::string(name) + " must be float32, got float16",
            [&](Call& c) { scale(c).dtype = DType::kFloat16; });
    Refused(std::string(name) + " must have exactly one element, got shape [3]",
            [&](Call& c) { scale(c).Reshape({3}); });
    Refused(std::string(name) + " must have exactly one element, got shape [0]",
            [&](Call& c) { scale(c).Reshape({0}); });
    Refused(std::string(name) + " must be on cpu (the device of key), got cuda:0",
            [&](Call& c) { scale(c).device.type = DeviceType::kCuda; });
  }
}

}  // namespace
}  // namespace stablekv

int main() {
  stablekv::TestParams();
  stablekv::TestAccepted();
  stablekv::TestKeyAndValue();
  stablekv::TestCaches();
  stablekv::TestWrittenMemory();
  stablekv::TestSlotsAndScales();
  return stablekv::testing::Finish();
}
