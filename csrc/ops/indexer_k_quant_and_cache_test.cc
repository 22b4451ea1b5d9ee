#include "csrc/ops/indexer_k_quant_and_cache.h"

#include <cstdint>
#include <functional>
#include <string>

#include "csrc/ops/testing.h"

namespace stablekv {
namespace {

using testing::FakeTensor;

// A call that is right: 5 tokens of 256 elements in groups of 128, 7 blocks of 16.
struct Call {
  FakeTensor k{"k", DType::kBFloat16, {5, 256}};
  FakeTensor kv_cache{"kv_cache", DType::kUInt8, {7, 16, 264}};
  FakeTensor slot_mapping{"slot_mapping", DType::kInt64, {5}};
  int64_t quant_block_size = 128;
  std::string kv_cache_dtype = "ue8m0";

  Status Prepare(IndexerKQuantAndCacheParams* params) const {
    return PrepareIndexerKQuantAndCache(
        {k.arg(), kv_cache.arg(), slot_mapping.arg(), quant_block_size, kv_cache_dtype}, params);
  }
};

using Change = std::function<void(Call&)>;

void Refused(const std::string& want, const Change& change) {
  Call call;
  change(call);
  IndexerKQuantAndCacheParams params;
  CHECK_MESSAGE(call.Prepare(&params), "indexer_k_quant_and_cache: " + want);
}

void TestParams() {
  Call call;
  call.k.strides = {1000, 1};
  call.kv_cache.strides = {90000, 264, 1};
  IndexerKQuantAndCacheParams params;
  CHECK_MESSAGE(call.Prepare(&params), "");
  CHECK_THAT(params.k == call.k.arg().data, "");
  CHECK_THAT(params.kv_cache == call.kv_cache.arg().data, "");
  CHECK_THAT(params.slot_mapping == call.slot_mapping.arg().data, "");
  CHECK_EQUAL(params.num_tokens, 5, "");
  CHECK_EQUAL(params.num_blocks, 7, "");
  CHECK_EQUAL(params.block_size, 16, "");
  CHECK_EQUAL(params.head_dim, 256, "");
  CHECK_EQUAL(params.quant_block_size, 128, "");
  CHECK_EQUAL(params.k_stride, 1000, "");
  CHECK_EQUAL(params.cache_block_stride, 90000, "");
  CHECK_THAT(params.element == ElementType::kBFloat16, "");
  CHECK_THAT(params.power_of_two, "");
}

void TestAccepted() {
  IndexerKQuantAndCacheParams params;
  for (const int64_t size : {1, 2, 64, 256}) {
    Call call;
    call.quant_block_size = size;
    call.kv_cache.Reshape({7, 16, 256 + 4 * (256 / size)});
    CHECK_MESSAGE(call.Prepare(&params), "");
    CHECK_EQUAL(params.quant_block_size, size, "");
  }
  for (const char* format : {"", "fp8e4m3", "auto", "UE8M0"}) {
    Call call;
    call.kv_cache_dtype = format;
    CHECK_MESSAGE(call.Prepare(&params), "");
    CHECK_THAT(!params.power_of_two, format);
  }
  Call call;
  call.k.dtype = DType::kFloat16;
  call.kv_cache.dtype = DType::kFloat8E4M3;
  call.slot_mapping.Reshape({2});
  CHECK_MESSAGE(call.Prepare(&params), "");
  CHECK_THAT(params.element == ElementType::kFloat16, "");
  CHECK_EQUAL(params.num_tokens, 2, "");
}

void TestRefused() {
  Refused("k must be float16 or bfloat16, got float32",
          [](Call& c) { c.k.dtype = DType::kFloat32; });
  Refused("k must be on the CPU or on a CUDA device, got a device that no operator runs on",
          [](Call& c) { c.k.device.type = DeviceType::kOther; });
  Refused("k must have shape [num_tokens, head_dim], got [5, 2, 128]",
          [](Call& c) { c.k.Reshape({5, 2, 128}); });
  Refused("k must have a head_dim of at least 1, got shape [5, 0]",
          [](Call& c) { c.k.Reshape({5, 0}); });
  Refused("k must be contiguous from dimension 1 on, got strides [1, 5] for shape [5, 256]",
          [](Call& c) { c.k.strides = {1, 5}; });
  Refused("k must have at least 6 tokens (the size of slot_mapping), got shape [5, 256]",
          [](Call& c) { c.slot_mapping.Reshape({6}); });
  for (const int64_t size : {-128, 0, 96, 512}) {
    Refused(
        "quant_block_size must be at least 1 and divide the head_dim of k, which is 256 (head_dim "
        "must be divisible by quant_block_size), got " +
            std::to_string(size),
        [&](Call& c) { c.quant_block_size = size; });
  }
  Refused("kv_cache must be uint8 or float8_e4m3fn, got bfloat16",
          [](Call& c) { c.kv_cache.dtype = DType::kBFloat16; });
  Refused("kv_cache must be on cpu (the device of k), got cuda:0",
          [](Call& c) { c.kv_cache.device.type = DeviceType::kCuda; });
  Refused(
      "kv_cache must have shape [num_blocks, block_size, head_dim + 4 * head_dim / "
      "quant_block_size] = [any, any, 264], got [7, 16, 260]",
      [](Call& c) { c.kv_cache.Reshape({7, 16, 260}); });
  Refused(  // what no 64 bits hold, and once was -1, which is any size
      "kv_cache must have shape [num_blocks, block_size, head_dim + 4 * head_dim / "
      "quant_block_size] = [any, any, 9223372036854775807], got [7, 16, 264]",
      [](Call& c) {
        c.k.Reshape({0, 0x3333333333333333});
        c.slot_mapping.Reshape({0});
        c.quant_block_size = 1;
      });
  Refused("kv_cache must have a block size of at least 1, got 0",
          [](Call& c) { c.kv_cache.Reshape({7, 0, 264}); });
  Refused(
      "kv_cache must be contiguous from dimension 1 on, got strides [4800, 300, 1] for shape [7, "
      "16, 264]",
      [](Call& c) { c.kv_cache.strides = {4800, 300, 1}; });
  Refused(
      "kv_cache must have memory of its own for every element, got strides [264, 264, 1] for shape "
      "[7, 16, 264]",
      [](Call& c) { c.kv_cache.strides[0] = 264; });
  Refused("kv_cache must share no memory with k, got overlapping address ranges",
          [](Call& c) { c.k.address = c.kv_cache.address; });
  Refused("kv_cache must share no memory with slot_mapping, got overlapping address ranges",
          [](Call& c) { c.slot_mapping.address = c.kv_cache.address; });
  Refused("slot_mapping must be int64, got uint8",
          [](Call& c) { c.slot_mapping.dtype = DType::kUInt8; });
  Refused("slot_mapping must be on cpu (the device of k), got cuda:0",
          [](Call& c) { c.slot_mapping.device.type = DeviceType::kCuda; });
}

}  // namespace
}  // namespace stablekv

int main() {
  stablekv::TestParams();
  stablekv::TestAccepted();
  stablekv::TestRefused();
  return stablekv::testing::Finish();
}
