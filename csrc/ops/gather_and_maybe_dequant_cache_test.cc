// The checks of gather_and_maybe_dequant_cache, but for those of all gathers: see cp_gather_cache.
#include "csrc/ops/gather_and_maybe_dequant_cache.h"

#include <string>

#include "csrc/ops/testing.h"

namespace stablekv {
namespace {

using testing::FakeTensor;

// A right call for a bfloat16 cache, which tests change.
struct Call {
  FakeTensor src_cache{"src_cache", DType::kBFloat16, {7, 16, 24}};
  FakeTensor dst{"dst", DType::kBFloat16, {40, 24}};
  FakeTensor block_table{"block_table", DType::kInt32, {3, 5}};
  FakeTensor cu_seq_lens{"cu_seq_lens", DType::kInt32, {4}};
  FakeTensor token_to_seq{"token_to_seq", DType::kInt32, {40}};
  int64_t num_tokens = 38;
  std::string kv_cache_dtype = "auto";
  FakeTensor scale{"scale", DType::kFloat32, {}};
  FakeTensor seq_starts{"seq_starts", DType::kInt32, {3}};

  Status Prepare(GatherDequantParams* params) const {
    return PrepareGatherAndMaybeDequantCache(
        {src_cache.arg(), dst.arg(), block_table.arg(), cu_seq_lens.arg(), token_to_seq.arg(),
         num_tokens, kv_cache_dtype, scale.arg(), seq_starts.arg()},
        params);
  }
};

using Change = void (*)(Call&);

void Refused(const std::string& want, const Change change) {
  Call call;
  change(call);
  GatherDequantParams params;
  CHECK_MESSAGE(call.Prepare(&params), "gather_and_maybe_dequant_cache: " + want);
}

void TestParams() {
  Call call;
  call.src_cache.strides = {1000, 30, 1};
  call.dst.strides = {50, 1};
  GatherDequantParams params;
  CHECK_MESSAGE(call.Prepare(&params), "");
  CHECK_THAT(params.from == call.src_cache.arg().data, "");
  CHECK_THAT(params.to == call.dst.arg().data, "");
  CHECK_THAT(params.scale == call.scale.arg().data, "");
  CHECK_THAT(params.token_to_seq == call.token_to_seq.arg().data, "");
  CHECK_THAT(params.rows.seq_starts == call.seq_starts.arg().data, "");
  CHECK_EQUAL(params.rows.num_rows, 38, "");
  CHECK_EQUAL(params.rows.num_starts, 4, "");
  CHECK_EQUAL(params.entry_size, 24, "");
  CHECK_EQUAL(params.block_stride, 1000, "");
  CHECK_EQUAL(params.token_stride, 30, "");
  CHECK_EQUAL(params.row_stride, 50, "");
  CHECK_THAT(params.element == ElementType::kBFloat16, "");
  CHECK_THAT(params.cache == CacheType::kAuto, "");
  const GatherRowsParams copy = CopyOf(params);
  CHECK_EQUAL(copy.num_pieces, 1, "");
  CHECK_EQUAL(copy.pieces[0].block_stride, 2000, "");
  CHECK_EQUAL(copy.pieces[0].token_stride, 60, "");
  CHECK_EQUAL(copy.pieces[0].row_stride, 100, "");
  CHECK_EQUAL(copy.pieces[0].bytes, 48, "");
}

void TestAccepted() {
  const struct {
    const char* text;
    DType dtype;
    CacheType want;
  } fp8[] = {
      {"fp8", DType::kUInt8, CacheType::kFp8E4M3},
      {"fp8_e4m3", DType::kFloat8E4M3, CacheType::kFp8E4M3},
      {"fp8_e5m2", DType::kUInt8, CacheType::kFp8E5M2},
      {"fp8_e5m2", DType::kFloat8E5M2, CacheType::kFp8E5M2},
  };
  GatherDequantParams params;
  for (const auto& c : fp8) {
    for (const DType dtype : {DType::kFloat32, DType::kFloat16, DType::kBFloat16}) {
      Call call;
      call.kv_cache_dtype = c.text;
      call.src_cache.dtype = c.dtype;
      call.dst.dtype = dtype;
      CHECK_MESSAGE(call.Prepare(&params), "");
      CHECK_THAT(params.cache == c.want, c.text);
    }
  }
  for (const int64_t entry_size : {0, 1, 63, 320, 512, 576, 4096}) {
    Call call;
    call.src_cache.Reshape({7, 16, entry_size});
    call.dst.Reshape({40, entry_size});
    CHECK_MESSAGE(call.Prepare(&params), "");
    CHECK_EQUAL(params.entry_size, entry_size, "");
  }
}

void TestRefused() {
  Refused(
      "dst must be float32, float16 or bfloat16, got uint8 (Unsupported input type of kv "
      "cache: uint8)",
      [](Call& c) { c.dst.dtype = DType::kUInt8; });
  Refused("dst must be float16 for kv_cache_dtype \"float16\", got bfloat16",
          [](Call& c) { c.kv_cache_dtype = "float16"; });
  Refused(
      "kv_cache_dtype must be \"auto\", \"float16\", \"bfloat16\", \"fp8\", \"fp8_e4m3\" or "
      "\"fp8_e5m2\", got \"fp8_ds_mla\" (Unsupported data type of kv cache: fp8_ds_mla, which "
      "only concat_and_cache_mla takes)",
      [](Call& c) { c.kv_cache_dtype = "fp8_ds_mla"; });
  Refused("src_cache must be bfloat16 (the dtype of dst) for kv_cache_dtype \"auto\", got float16",
          [](Call& c) { c.src_cache.dtype = DType::kFloat16; });
  Refused(
      "src_cache must be float8_e5m2 or uint8 for kv_cache_dtype \"fp8_e5m2\", got "
      "float8_e4m3fn",
      [](Call& c) {
        c.src_cache.dtype = DType::kFloat8E4M3;
        c.kv_cache_dtype = "fp8_e5m2";
      });
  Refused("src_cache must have shape [num_blocks, block_size, entry_size], got [7, 16, 2, 12]",
          [](Call& c) { c.src_cache.Reshape({7, 16, 2, 12}); });
  Refused("dst must have shape [num_rows, entry_size] = [any, 24], got [40, 23]",
          [](Call& c) { c.dst.Reshape({40, 23}); });
  Refused("num_tokens must be >= 0, got -1", [](Call& c) { c.num_tokens = -1; });
  Refused("dst must have at least 41 rows (num_tokens), got shape [40, 24]",
          [](Call& c) { c.num_tokens = 41; });
  Refused("token_to_seq must have at least 38 rows (num_tokens), got shape [37]",
          [](Call& c) { c.token_to_seq.Reshape({37}); });
  Refused("token_to_seq must be int32, got int64",
          [](Call& c) { c.token_to_seq.dtype = DType::kInt64; });
  Refused("token_to_seq must be on cpu (the device of src_cache), got cuda:0",
          [](Call& c) { c.token_to_seq.device.type = DeviceType::kCuda; });
  Refused("token_to_seq must have shape [num_tokens], got [40, 1]",
          [](Call& c) { c.token_to_seq.Reshape({40, 1}); });
  Refused("token_to_seq must be contiguous, got strides [2] for shape [40]",
          [](Call& c) { c.token_to_seq.strides = {2}; });
  Refused("scale must be float32, got float16", [](Call& c) { c.scale.dtype = DType::kFloat16; });
  Refused("scale must have exactly one element, got shape [2]",
          [](Call& c) { c.scale.Reshape({2}); });
  Refused("scale must be on cpu (the device of src_cache), got cuda:0",
          [](Call& c) { c.scale.device.type = DeviceType::kCuda; });
  Refused("dst must share no memory with src_cache, got overlapping address ranges",
          [](Call& c) { c.dst.address = c.src_cache.address; });
  Refused("dst must share no memory with block_table, got overlapping address ranges",
          [](Call& c) { c.block_table.address = c.dst.address; });
  Refused("dst must share no memory with cu_seq_lens, got overlapping address ranges",
          [](Call& c) { c.cu_seq_lens.address = c.dst.address; });
  Refused("dst must share no memory with token_to_seq, got overlapping address ranges",
          [](Call& c) { c.token_to_seq.address = c.dst.address; });
  Refused("dst must share no memory with scale, got overlapping address ranges",
          [](Call& c) { c.scale.address = c.dst.address; });
}

}  // namespace
}  // namespace stablekv

int main() {
  stablekv::TestParams();
  stablekv::TestAccepted();
  stablekv::TestRefused();
  return stablekv::testing::Finish();
}
