#include "csrc/ops/kv_cache_dtype.h"

#include <string>

#include "csrc/ops/testing.h"

namespace stablekv {
namespace {

using testing::FakeTensor;

constexpr DType kSources[] = {DType::kFloat32, DType::kFloat16, DType::kBFloat16};

FakeTensor Query(DType dtype) { return FakeTensor("query", dtype, {1, 1, 64}); }

void TestText() {
  const struct {
    const char* text;
    CacheType want;
  } any_source[] = {
      {"auto", CacheType::kAuto},
      {"fp8", CacheType::kFp8E4M3},
      {"fp8_e4m3", CacheType::kFp8E4M3},
      {"fp8_e5m2", CacheType::kFp8E5M2},
  };
  CacheType cache;
  for (const auto& c : any_source) {
    for (const DType source : kSources) {
      CHECK_MESSAGE(ParseKvCacheDType("op", c.text, Query(source).arg(), &cache), "");
      CHECK_THAT(cache == c.want, c.text);
    }
  }

  CHECK_MESSAGE(ParseKvCacheDType("op", "float16", Query(DType::kFloat16).arg(), &cache), "");
  CHECK_THAT(cache == CacheType::kAuto, "");
  CHECK_MESSAGE(ParseKvCacheDType("op", "bfloat16", Query(DType::kBFloat16).arg(), &cache), "");
  CHECK_THAT(cache == CacheType::kAuto, "");
  CHECK_MESSAGE(ParseKvCacheDType("op", "float16", Query(DType::kFloat32).arg(), &cache),
                "op: query must be float16 for kv_cache_dtype \"float16\", got float32");
  CHECK_MESSAGE(ParseKvCacheDType("op", "bfloat16", Query(DType::kFloat16).arg(), &cache),
                "op: query must be bfloat16 for kv_cache_dtype \"bfloat16\", got float16");

  const std::string wanted =
      "op: kv_cache_dtype must be \"auto\", \"float16\", \"bfloat16\", \"fp8\", \"fp8_e4m3\" or "
      "\"fp8_e5m2\", got ";
  for (const std::string text : {"", "Auto", "auto ", "half", "float32", "fp8_e4m3fn", "nvfp4"}) {
    CHECK_MESSAGE(ParseKvCacheDType("op", text, Query(DType::kFloat16).arg(), &cache),
                  wanted + '"' + text + "\" (Unsupported data type of kv cache: " + text + ")");
  }
  CHECK_MESSAGE(ParseKvCacheDType("op", "fp8_ds_mla", Query(DType::kFloat16).arg(), &cache),
                wanted +
                    "\"fp8_ds_mla\" (Unsupported data type of kv cache: fp8_ds_mla, which only "
                    "concat_and_cache_mla takes)");
  CHECK_MESSAGE(
      ParseKvCacheDType("op", "x", Query(DType::kFloat16).arg(), &cache, "fp8_ds_mla"),
      "op: kv_cache_dtype must be \"auto\", \"float16\", \"bfloat16\", \"fp8\", \"fp8_e4m3\", "
      "\"fp8_e5m2\" or \"fp8_ds_mla\", got \"x\" (Unsupported data type of kv cache: x)");
}

// Every dtype of a cache tensor against every meaning, for a bfloat16 query.
void TestCacheTensor() {
  const FakeTensor query = Query(DType::kBFloat16);
  for (int i = 0; i <= static_cast<int>(DType::kOther); ++i) {
    const DType dtype = static_cast<DType>(i);
    const FakeTensor tensor("key_cache", dtype, {1});
    const auto ok = [&](CacheType cache) {
      return CheckCacheDType("op", tensor.arg(), "text", cache, query.arg()).ok();
    };
    CHECK_EQUAL(ok(CacheType::kAuto), dtype == DType::kBFloat16, i);
    CHECK_EQUAL(ok(CacheType::kFp8E4M3), dtype == DType::kUInt8 || dtype == DType::kFloat8E4M3, i);
    CHECK_EQUAL(ok(CacheType::kFp8E5M2), dtype == DType::kUInt8 || dtype == DType::kFloat8E5M2, i);
  }
  const FakeTensor e5m2("value_cache", DType::kFloat8E5M2, {1});
  CHECK_MESSAGE(
      CheckCacheDType("op", e5m2.arg(), "fp8", CacheType::kFp8E4M3, query.arg()),
      "op: value_cache must be float8_e4m3fn or uint8 for kv_cache_dtype \"fp8\", got float8_e5m2");
  CHECK_MESSAGE(CheckCacheDType("op", e5m2.arg(), "auto", CacheType::kAuto, query.arg()),
                "op: value_cache must be bfloat16 (the dtype of query) for kv_cache_dtype "
                "\"auto\", got float8_e5m2");
}

}  // namespace
}  // namespace stablekv

int main() {
  stablekv::TestText();
  stablekv::TestCacheTensor();
  return stablekv::testing::Finish();
}
