#include "csrc/ops/concat_and_cache_mla.h"

#include <cstdint>
#include <functional>
#include <string>

#include "csrc/ops/testing.h"

namespace stablekv {
namespace {

using testing::FakeTensor;

// A call that is right: 5 tokens of 512 and 64 elements, 7 blocks of 16.
struct Call {
  FakeTensor kv_c{"kv_c", DType::kFloat16, {5, 512}};
  FakeTensor k_pe{"k_pe", DType::kFloat16, {5, 64}};
  FakeTensor kv_cache{"kv_cache", DType::kFloat16, {7, 16, 576}};
  FakeTensor slot_mapping{"slot_mapping", DType::kInt64, {5}};
  std::string kv_cache_dtype = "auto";
  FakeTensor scale{"scale", DType::kFloat32, {}};

  static Call DsMla() {
    Call call;
    call.kv_cache.dtype = DType::kUInt8;
    call.kv_cache.Reshape({7, 16, 656});
    call.kv_cache_dtype = "fp8_ds_mla";
    return call;
  }

  Status Prepare(ConcatAndCacheMlaParams* params) const {
    return PrepareConcatAndCacheMla(
        {kv_c.arg(), k_pe.arg(), kv_cache.arg(), slot_mapping.arg(), kv_cache_dtype, scale.arg()},
        params);
  }
};

using Change = std::function<void(Call&)>;

void Refused(const std::string& want, const Change& change, Call call = {}) {
  change(call);
  ConcatAndCacheMlaParams params;
  CHECK_MESSAGE(call.Prepare(&params), "concat_and_cache_mla: " + want);
}

void TestParams() {
  Call call;
  call.kv_c.strides = {1000, 1};
  call.k_pe.strides = {2000, 1};
  call.kv_cache.strides = {90000, 600, 1};
  ConcatAndCacheMlaParams params;
  CHECK_MESSAGE(call.Prepare(&params), "");
  CHECK_THAT(params.kv_c == call.kv_c.arg().data, "");
  CHECK_THAT(params.k_pe == call.k_pe.arg().data, "");
  CHECK_THAT(params.kv_cache == call.kv_cache.arg().data, "");
  CHECK_THAT(params.slot_mapping == call.slot_mapping.arg().data, "");
  CHECK_THAT(params.scale == call.scale.arg().data, "");
  CHECK_EQUAL(params.num_tokens, 5, "");
  CHECK_EQUAL(params.num_blocks, 7, "");
  CHECK_EQUAL(params.block_size, 16, "");
  CHECK_EQUAL(params.kv_lora_rank, 512, "");
  CHECK_EQUAL(params.pe_dim, 64, "");
  CHECK_EQUAL(params.kv_c_stride, 1000, "");
  CHECK_EQUAL(params.k_pe_stride, 2000, "");
  CHECK_EQUAL(params.cache_block_stride, 90000, "");
  CHECK_EQUAL(params.cache_token_stride, 600, "");
  CHECK_THAT(params.element == ElementType::kFloat16, "");
  CHECK_THAT(params.cache == CacheType::kAuto, "");
  CHECK_THAT(!params.ds_mla, "");
}

void TestAccepted() {
  ConcatAndCacheMlaParams params;
  for (const DType dtype : {DType::kFloat32, DType::kFloat16, DType::kBFloat16}) {
    Call call;
    call.kv_c.dtype = call.k_pe.dtype = call.kv_cache.dtype = dtype;
    CHECK_MESSAGE(call.Prepare(&params), "");
    call.kv_cache.dtype = DType::kUInt8;
    call.kv_cache_dtype = "fp8_e5m2";
    CHECK_MESSAGE(call.Prepare(&params), "");
    CHECK_THAT(params.cache == CacheType::kFp8E5M2, "");
    if (dtype == DType::kFloat32) continue;
    Call ds_mla = Call::DsMla();
    ds_mla.kv_c.dtype = ds_mla.k_pe.dtype = dtype;
    CHECK_MESSAGE(ds_mla.Prepare(&params), "");
    CHECK_THAT(params.ds_mla && params.cache == CacheType::kFp8E4M3, "");
  }
  Call call;  // slices of one row, more tokens than slots, one slot a block
  call.k_pe.address = call.kv_c.address + 512 * 2;
  call.kv_c.strides = call.k_pe.strides = {576, 1};
  call.slot_mapping.Reshape({3});
  call.kv_cache.Reshape({7, 1, 576});
  CHECK_MESSAGE(call.Prepare(&params), "");
  CHECK_EQUAL(params.num_tokens, 3, "");
  call.slot_mapping.Reshape({0});
  CHECK_MESSAGE(call.Prepare(&params), "");
}

void TestRefused() {
  Refused(
      "kv_c must be float32, float16 or bfloat16, got uint8 (Unsupported input type of kv cache: "
      "uint8)",
      [](Call& c) { c.kv_c.dtype = DType::kUInt8; });
  Refused("k_pe must be float16 (the dtype of kv_c), got bfloat16",
          [](Call& c) { c.k_pe.dtype = DType::kBFloat16; });
  Refused("kv_c must be on the CPU or on a CUDA device, got a device that no operator runs on",
          [](Call& c) { c.kv_c.device.type = DeviceType::kOther; });
  Refused("k_pe must be on cpu (the device of kv_c), got cuda:1",
          [](Call& c) { c.k_pe.device = {DeviceType::kCuda, 1}; });
  Refused("kv_c must have shape [num_tokens, kv_lora_rank], got [5, 1, 512]",
          [](Call& c) { c.kv_c.Reshape({5, 1, 512}); });
  Refused("kv_c must have a kv_lora_rank of at least 1, got shape [5, 0]",
          [](Call& c) { c.kv_c.Reshape({5, 0}); });
  Refused("k_pe must have a pe_dim of at least 1, got shape [5, 0]",
          [](Call& c) { c.k_pe.Reshape({5, 0}); });
  Refused("k_pe must be contiguous from dimension 1 on, got strides [128, 2] for shape [5, 64]",
          [](Call& c) { c.k_pe.strides = {128, 2}; });
  Refused("kv_c must have at least 6 tokens (the size of slot_mapping), got shape [5, 512]",
          [](Call& c) { c.slot_mapping.Reshape({6}); });
  Refused("k_pe must have at least 5 tokens (the size of slot_mapping), got shape [4, 64]",
          [](Call& c) { c.k_pe.Reshape({4, 64}); });
  Refused("kv_cache must be float16 (the dtype of kv_c) for kv_cache_dtype \"auto\", got uint8",
          [](Call& c) { c.kv_cache.dtype = DType::kUInt8; });
  Refused("kv_cache must be float8_e4m3fn or uint8 for kv_cache_dtype \"fp8\", got float16",
          [](Call& c) { c.kv_cache_dtype = "fp8"; });
  Refused(
      "kv_cache must have shape [num_blocks, block_size, kv_c.size(1) + k_pe.size(1)] = [any, any, "
      "576], "
      "got [7, 16, 575]",
      [](Call& c) { c.kv_cache.Reshape({7, 16, 575}); });
  Refused(
      "kv_cache must have shape [num_blocks, block_size, kv_c.size(1) + k_pe.size(1)] = [any, any, "
      "9223372036854775807], got [7, 16, 576]",
      [](Call& c) {
        c.kv_c.Reshape({0, int64_t{1} << 62});
        c.k_pe.Reshape({0, int64_t{1} << 62});
      });
  Refused("kv_cache must have a block size of at least 1, got 0",
          [](Call& c) { c.kv_cache.Reshape({7, 0, 576}); });
  Refused(
      "kv_cache must be contiguous from dimension 2 on, got strides [18432, 1152, 2] for shape [7, "
      "16, 576]",
      [](Call& c) { c.kv_cache.strides = {18432, 1152, 2}; });
  Refused(
      "kv_cache must have memory of its own for every element, got strides [0, 576, 1] for shape "
      "[7, 16, 576]",
      [](Call& c) { c.kv_cache.strides[0] = 0; });
  Refused("kv_cache must share no memory with kv_c, got overlapping address ranges",
          [](Call& c) { c.kv_c.address = c.kv_cache.address; });
  Refused("kv_cache must share no memory with k_pe, got overlapping address ranges",
          [](Call& c) { c.k_pe.address = c.kv_cache.address; });
  Refused("kv_cache must share no memory with slot_mapping, got overlapping address ranges",
          [](Call& c) { c.slot_mapping.address = c.kv_cache.address; });
  Refused("kv_cache must share no memory with scale, got overlapping address ranges",
          [](Call& c) { c.scale.address = c.kv_cache.address; });
  Refused("slot_mapping must be int64, got int32",
          [](Call& c) { c.slot_mapping.dtype = DType::kInt32; });
  Refused("slot_mapping must be on cpu (the device of kv_c), got cuda:0",
          [](Call& c) { c.slot_mapping.device.type = DeviceType::kCuda; });
  Refused("slot_mapping must have shape [num_tokens], got [5, 1]",
          [](Call& c) { c.slot_mapping.Reshape({5, 1}); });
  Refused("slot_mapping must be contiguous, got strides [2] for shape [5]",
          [](Call& c) { c.slot_mapping.strides = {2}; });
  Refused("scale must have exactly one element, got shape [2]",
          [](Call& c) { c.scale.Reshape({2}); });
  Refused(
      "kv_cache_dtype must be \"auto\", \"float16\", \"bfloat16\", \"fp8\", \"fp8_e4m3\", "
      "\"fp8_e5m2\" or \"fp8_ds_mla\", got \"nvfp4\" (Unsupported data type of kv cache: nvfp4)",
      [](Call& c) { c.kv_cache_dtype = "nvfp4"; });
}

void TestDsMlaRefused() {
  const std::string for_it = " for kv_cache_dtype \"fp8_ds_mla\", got ";
  const auto refused = [&](const std::string& want, const Change& change) {
    Refused(want, change, Call::DsMla());
  };
  refused("kv_c must be float16 or bfloat16" + for_it + "float32",
          [](Call& c) { c.kv_c.dtype = c.k_pe.dtype = DType::kFloat32; });
  refused("kv_c must have a kv_lora_rank of 512" + for_it + "shape [5, 256]",
          [](Call& c) { c.kv_c.Reshape({5, 256}); });
  refused("k_pe must have a pe_dim of 64" + for_it + "shape [5, 128]",
          [](Call& c) { c.k_pe.Reshape({5, 128}); });
  refused("kv_cache must be uint8" + for_it + "float16", [](Call& c) {
    c.kv_cache.dtype = DType::kFloat16;
    c.kv_cache.Reshape({7, 16, 328});
  });
  refused("kv_cache must be uint8" + for_it + "float8_e4m3fn",
          [](Call& c) { c.kv_cache.dtype = DType::kFloat8E4M3; });
  refused(
      "kv_cache must have shape [num_blocks, block_size, bytes of fp8_ds_mla] = [any, any, 656], "
      "got [7, 16, 576]",
      [](Call& c) { c.kv_cache.Reshape({7, 16, 576}); });
}

}  // namespace
}  // namespace stablekv

int main() {
  stablekv::TestParams();
  stablekv::TestAccepted();
  stablekv::TestRefused();
  stablekv::TestDsMlaRefused();
  return stablekv::testing::Finish();
}
