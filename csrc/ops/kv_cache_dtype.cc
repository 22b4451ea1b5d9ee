#include "csrc/ops/kv_cache_dtype.h"

#include <string>

#include "csrc/ops/check.h"
#include "csrc/ops/describe.h"

namespace stablekv {
namespace {

struct KvCacheDType {
  std::string_view text;
  CacheType cache;
  DType source;  // the only one that it fits, or kOther
};

constexpr KvCacheDType kKvCacheDTypes[] = {
    {"auto", CacheType::kAuto, DType::kOther},
    {"float16", CacheType::kAuto, DType::kFloat16},
    {"bfloat16", CacheType::kAuto, DType::kBFloat16},
    {"fp8", CacheType::kFp8E4M3, DType::kOther},
    {"fp8_e4m3", CacheType::kFp8E4M3, DType::kOther},
    {"fp8_e5m2", CacheType::kFp8E5M2, DType::kOther},
};

std::string Quoted(std::string_view text) { return '"' + std::string(text) + '"'; }

}  // namespace

Status ParseKvCacheDType(const char* op, std::string_view text, const TensorArg& source,
                         CacheType* cache, const char* also) {
  for (const KvCacheDType& known : kKvCacheDTypes) {
    if (text != known.text) continue;
    if (known.source != DType::kOther && known.source != source.dtype) {
      return ArgumentError(
          op, source.name,
          std::string("be ") + NameOf(known.source) + " for kv_cache_dtype " + Quoted(text),
          NameOf(source.dtype));
    }
    *cache = known.cache;
    return Status();
  }
  std::string wanted = "be";
  const char* separator = " ";
  for (const KvCacheDType& known : kKvCacheDTypes) {
    wanted += separator + Quoted(known.text);
    separator = also == nullptr && &known == std::end(kKvCacheDTypes) - 2 ? " or " : ", ";
  }
  if (also != nullptr) wanted += " or " + Quoted(also);
  std::string got = Quoted(text) + " (Unsupported data type of kv cache: " + std::string(text);
  if (text == "fp8_ds_mla") got += ", which only concat_and_cache_mla takes";
  return ArgumentError(op, "kv_cache_dtype", wanted, got + ")");
}

Status CheckCacheDType(const char* op, const TensorArg& tensor, std::string_view kv_cache_dtype,
                       CacheType cache, const TensorArg& source) {
  DType want = source.dtype;
  if (cache == CacheType::kFp8E4M3) want = DType::kFloat8E4M3;
  if (cache == CacheType::kFp8E5M2) want = DType::kFloat8E5M2;
  if (tensor.dtype == want) return Status();
  if (cache != CacheType::kAuto && tensor.dtype == DType::kUInt8) return Status();

  std::string wanted = std::string("be ") + NameOf(want);
  wanted +=
      cache == CacheType::kAuto ? std::string(" (the dtype of ") + source.name + ")" : " or uint8";
  return ArgumentError(op, tensor.name, wanted + " for kv_cache_dtype " + Quoted(kv_cache_dtype),
                       NameOf(tensor.dtype));
}

}  // namespace stablekv
