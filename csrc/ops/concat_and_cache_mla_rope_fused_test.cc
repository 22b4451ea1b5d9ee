#include "csrc/ops/concat_and_cache_mla_rope_fused.h"

#include <cstdint>
#include <functional>
#include <string>

#include "csrc/ops/testing.h"

namespace stablekv {
namespace {

using testing::FakeTensor;

// A call that is right: 5 tokens of 3 heads of 64, 512 latent elements, 7 blocks of 16.
struct Call {
  FakeTensor positions{"positions", DType::kInt64, {5}};
  FakeTensor q_pe{"q_pe", DType::kBFloat16, {5, 3, 64}};
  FakeTensor k_pe{"k_pe", DType::kBFloat16, {5, 64}};
  FakeTensor kv_c{"kv_c", DType::kBFloat16, {5, 512}};
  FakeTensor cos_sin_cache{"cos_sin_cache", DType::kBFloat16, {100, 64}};
  bool is_neox = true;
  FakeTensor slot_mapping{"slot_mapping", DType::kInt64, {5}};
  FakeTensor kv_cache{"kv_cache", DType::kBFloat16, {7, 16, 576}};
  std::string kv_cache_dtype = "auto";
  FakeTensor kv_cache_scale{"kv_cache_scale", DType::kFloat32, {1}};

  Status Prepare(ConcatAndCacheMlaRopeFusedParams* params) const {
    return PrepareConcatAndCacheMlaRopeFused(
        {positions.arg(), q_pe.arg(), k_pe.arg(), kv_c.arg(), cos_sin_cache.arg(), is_neox,
         slot_mapping.arg(), kv_cache.arg(), kv_cache_dtype, kv_cache_scale.arg()},
        params);
  }
};

using Change = std::function<void(Call&)>;

void Refused(const std::string& want, const Change& change) {
  Call call;
  change(call);
  ConcatAndCacheMlaRopeFusedParams params;
  CHECK_MESSAGE(call.Prepare(&params), "concat_and_cache_mla_rope_fused: " + want);
}

void TestParams() {
  Call call;
  call.q_pe.strides = {5000, 192, 1};
  call.k_pe.strides = {2000, 1};
  call.kv_c.strides = {3000, 1};
  call.cos_sin_cache.strides = {80, 1};
  call.kv_cache.strides = {90000, 600, 1};
  ConcatAndCacheMlaRopeFusedParams params;
  CHECK_MESSAGE(call.Prepare(&params), "");
  CHECK_THAT(params.positions == call.positions.arg().data, "");
  CHECK_THAT(params.q_pe == call.q_pe.arg().data, "");
  CHECK_THAT(params.k_pe == call.k_pe.arg().data, "");
  CHECK_THAT(params.kv_c == call.kv_c.arg().data, "");
  CHECK_THAT(params.cos_sin_cache == call.cos_sin_cache.arg().data, "");
  CHECK_THAT(params.slot_mapping == call.slot_mapping.arg().data, "");
  CHECK_THAT(params.kv_cache == call.kv_cache.arg().data, "");
  CHECK_THAT(params.scale == call.kv_cache_scale.arg().data, "");
  CHECK_EQUAL(params.num_tokens, 5, "");
  CHECK_EQUAL(params.num_heads, 3, "");
  CHECK_EQUAL(params.num_positions, 100, "");
  CHECK_EQUAL(params.num_blocks, 7, "");
  CHECK_EQUAL(params.block_size, 16, "");
  CHECK_EQUAL(params.kv_lora_rank, 512, "");
  CHECK_EQUAL(params.pe_dim, 64, "");
  CHECK_EQUAL(params.q_pe_token_stride, 5000, "");
  CHECK_EQUAL(params.q_pe_head_stride, 192, "");
  CHECK_EQUAL(params.k_pe_stride, 2000, "");
  CHECK_EQUAL(params.kv_c_stride, 3000, "");
  CHECK_EQUAL(params.cos_sin_stride, 80, "");
  CHECK_EQUAL(params.cache_block_stride, 90000, "");
  CHECK_EQUAL(params.cache_token_stride, 600, "");
  CHECK_THAT(params.element == ElementType::kBFloat16, "");
  CHECK_THAT(params.cache == CacheType::kAuto, "");
  CHECK_THAT(params.is_neox, "");
}

void TestAccepted() {
  ConcatAndCacheMlaRopeFusedParams params;
  Call call;  // padded queries; slices of packed rows; a cache of bytes; no tokens, then no heads
  call.slot_mapping.Reshape({3});
  call.k_pe.address = call.kv_c.address + 512 * 2;
  call.kv_c.strides = call.k_pe.strides = {576, 1};
  call.kv_cache.dtype = DType::kUInt8;
  call.kv_cache_dtype = "fp8";
  call.is_neox = false;
  CHECK_MESSAGE(call.Prepare(&params), "");
  CHECK_EQUAL(params.num_tokens, 3, "");
  CHECK_THAT(!params.is_neox && params.cache == CacheType::kFp8E4M3, "");
  call.slot_mapping.Reshape({0});
  CHECK_MESSAGE(call.Prepare(&params), "");
  call.q_pe.Reshape({5, 0, 64});
  CHECK_MESSAGE(call.Prepare(&params), "");
}

void TestRotated() {
  Refused(
      "q_pe must be float32, float16 or bfloat16, got int32 (Unsupported input type of kv cache: "
      "int32)",
      [](Call& c) { c.q_pe.dtype = DType::kInt32; });
  Refused("k_pe must be bfloat16 (the dtype of q_pe), got float16",
          [](Call& c) { c.k_pe.dtype = DType::kFloat16; });
  Refused("kv_c must be bfloat16 (the dtype of q_pe), got float16",
          [](Call& c) { c.kv_c.dtype = DType::kFloat16; });
  Refused("q_pe must have shape [num_tokens, num_heads, pe_dim], got [5, 192]",
          [](Call& c) { c.q_pe.Reshape({5, 192}); });
  for (const int64_t pe_dim : {0, 1, 63}) {
    Refused("q_pe must have a pe_dim that is even and at least 2, got shape [5, 3, " +
                std::to_string(pe_dim) + "]",
            [&](Call& c) { c.q_pe.Reshape({5, 3, pe_dim}); });
  }
  Refused("k_pe must have shape [num_tokens, pe_dim] = [any, 64], got [5, 32]",
          [](Call& c) { c.k_pe.Reshape({5, 32}); });
  Refused(
      "q_pe must be contiguous from dimension 2 on, got strides [192, 1, 3] for shape [5, 3, "
      "64]",
      [](Call& c) { c.q_pe.strides = {192, 1, 3}; });
  Refused(
      "q_pe must have memory of its own for every element, got strides [192, 0, 1] for shape "
      "[5, 3, 64]",
      [](Call& c) { c.q_pe.strides[1] = 0; });
  Refused(
      "k_pe must have memory of its own for every element, got strides [0, 1] for shape "
      "[5, 64]",
      [](Call& c) { c.k_pe.strides[0] = 0; });
  for (const char* name : {"positions", "q_pe", "k_pe", "kv_c"}) {
    const std::string rest = name == std::string("positions") ? ""
                             : name == std::string("q_pe")    ? ", 3, 64"
                             : name == std::string("k_pe")    ? ", 64"
                                                              : ", 512";
    Refused(std::string(name) +
                " must have at least 5 tokens (the size of slot_mapping), got shape [4" + rest +
                "]",
            [&](Call& c) {
              for (FakeTensor* t : {&c.positions, &c.q_pe, &c.k_pe, &c.kv_c}) {
                if (t->name == std::string(name)) t->sizes[0] = 4;
              }
            });
  }
}

void TestPositions() {
  Refused("positions must be int64, got int32", [](Call& c) { c.positions.dtype = DType::kInt32; });
  Refused("positions must have shape [num_tokens], got [1, 5]",
          [](Call& c) { c.positions.Reshape({1, 5}); });
  Refused("positions must be contiguous, got strides [2] for shape [5]",
          [](Call& c) { c.positions.strides = {2}; });
  Refused("positions must be on cpu (the device of q_pe), got cuda:0",
          [](Call& c) { c.positions.device.type = DeviceType::kCuda; });
  Refused("cos_sin_cache must be bfloat16 (the dtype of q_pe), got float32",
          [](Call& c) { c.cos_sin_cache.dtype = DType::kFloat32; });
  Refused("cos_sin_cache must have shape [num_positions, pe_dim] = [any, 64], got [100, 32]",
          [](Call& c) { c.cos_sin_cache.Reshape({100, 32}); });
  Refused(
      "cos_sin_cache must be contiguous from dimension 1 on, got strides [1, 100] for shape "
      "[100, 64]",
      [](Call& c) { c.cos_sin_cache.strides = {1, 100}; });
}

void TestCache() {
  Refused(
      "kv_cache_dtype must be \"auto\", \"float16\", \"bfloat16\", \"fp8\", \"fp8_e4m3\" or "
      "\"fp8_e5m2\", got \"fp8_ds_mla\" (Unsupported data type of kv cache: fp8_ds_mla, which only "
      "concat_and_cache_mla takes)",
      [](Call& c) { c.kv_cache_dtype = "fp8_ds_mla"; });
  Refused(
      "kv_cache must have shape [num_blocks, block_size, kv_c.size(1) + q_pe.size(2)] = [any, any, "
      "576], "
      "got [7, 16, 512]",
      [](Call& c) { c.kv_cache.Reshape({7, 16, 512}); });
  Refused(
      "kv_cache must have shape [num_blocks, block_size, kv_c.size(1) + q_pe.size(2)] = [any, any, "
      "9223372036854775807], got [7, 16, 576]",
      [](Call& c) {
        constexpr int64_t kMany = int64_t{1} << 62;
        c.q_pe.Reshape({0, 3, kMany});
        c.cos_sin_cache.Reshape({0, kMany});
        for (FakeTensor* rows : {&c.k_pe, &c.kv_c}) rows->Reshape({0, kMany});
      });
  Refused("kv_cache must be bfloat16 (the dtype of q_pe) for kv_cache_dtype \"auto\", got uint8",
          [](Call& c) { c.kv_cache.dtype = DType::kUInt8; });
  Refused("kv_cache_scale must be float32, got float16",
          [](Call& c) { c.kv_cache_scale.dtype = DType::kFloat16; });
  Refused("slot_mapping must be int64, got int32",
          [](Call& c) { c.slot_mapping.dtype = DType::kInt32; });
  Refused("kv_c must have a kv_lora_rank of at least 1, got shape [5, 0]",
          [](Call& c) { c.kv_c.Reshape({5, 0}); });
}

void TestOverlaps() {
  const struct {
    FakeTensor Call::* written;
    FakeTensor Call::* other;
  } pairs[] = {{&Call::q_pe, &Call::k_pe},
               {&Call::q_pe, &Call::kv_cache},
               {&Call::q_pe, &Call::kv_c},
               {&Call::q_pe, &Call::cos_sin_cache},
               {&Call::q_pe, &Call::positions},
               {&Call::q_pe, &Call::slot_mapping},
               {&Call::q_pe, &Call::kv_cache_scale},
               {&Call::k_pe, &Call::kv_cache},
               {&Call::k_pe, &Call::kv_c},
               {&Call::k_pe, &Call::cos_sin_cache},
               {&Call::k_pe, &Call::positions},
               {&Call::k_pe, &Call::slot_mapping},
               {&Call::k_pe, &Call::kv_cache_scale},
               {&Call::kv_cache, &Call::kv_c},
               {&Call::kv_cache, &Call::cos_sin_cache},
               {&Call::kv_cache, &Call::positions},
               {&Call::kv_cache, &Call::slot_mapping},
               {&Call::kv_cache, &Call::kv_cache_scale}};
  for (const auto& pair : pairs) {
    const Call names;
    Refused(std::string((names.*pair.written).name) + " must share no memory with " +
                (names.*pair.other).name + ", got overlapping address ranges",
            [&](Call& c) { (c.*pair.other).address = (c.*pair.written).address + 8; });
  }
}

}  // namespace
}  // namespace stablekv

int main() {
  stablekv::TestParams();
  stablekv::TestAccepted();
  stablekv::TestRotated();
  stablekv::TestPositions();
  stablekv::TestCache();
  stablekv::TestOverlaps();
  return stablekv::testing::Finish();
}
