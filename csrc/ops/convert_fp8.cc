#include "csrc/ops/convert_fp8.h"

#include <string>

#include "csrc/ops/check.h"
#include "csrc/ops/describe.h"
#include "csrc/ops/memory.h"

namespace stablekv {
namespace {

constexpr const char* kOp = "convert_fp8";

bool IsElement(DType dtype) {
  return dtype == DType::kFloat32 || dtype == DType::kFloat16 || dtype == DType::kBFloat16;
}

Status ParseFormat(std::string_view text, CacheType* cache) {
  if (text == "fp8" || text == "fp8_e4m3") {
    *cache = CacheType::kFp8E4M3;
  } else if (text == "fp8_e5m2") {
    *cache = CacheType::kFp8E5M2;
  } else {
    return ArgumentError(kOp, "kv_cache_dtype", "be \"fp8\", \"fp8_e4m3\" or \"fp8_e5m2\"",
                         '"' + std::string(text) + '"');
  }
  return Status();
}

// `fp8` holds bytes of the format, where `elements` has a dtype of elements.
Status CheckFp8(const TensorArg& fp8, const TensorArg& elements, CacheType cache) {
  const DType want = cache == CacheType::kFp8E4M3 ? DType::kFloat8E4M3 : DType::kFloat8E5M2;
  if (fp8.dtype == want || fp8.dtype == DType::kUInt8) return Status();
  return ArgumentError(kOp, fp8.name,
                       std::string("be ") + NameOf(want) + " or uint8 where " + elements.name +
                           " is " + NameOf(elements.dtype),
                       NameOf(fp8.dtype));
}

Status CheckDTypes(const TensorArg& dst, const TensorArg& src, CacheType cache) {
  if (IsElement(src.dtype)) return CheckFp8(dst, src, cache);
  if (IsElement(dst.dtype)) return CheckFp8(src, dst, cache);
  return ArgumentError(kOp, src.name,
                       std::string("be float32, float16 or bfloat16 where ") + dst.name +
                           " is none of these, but " + NameOf(dst.dtype),
                       NameOf(src.dtype));
}

Status CheckSameLayout(const TensorArg& dst, const TensorArg& src) {
  bool same_shape = dst.dim == src.dim;
  bool same_strides = true;
  for (int64_t i = 0; same_shape && i < dst.dim; ++i) {
    same_shape = dst.size(i) == src.size(i);
    same_strides &= dst.size(i) == 1 || dst.stride(i) == src.stride(i);
  }
  if (!same_shape) {
    return ArgumentError(kOp, dst.name, "have shape " + SizesOf(src) + " (that of src_cache)",
                         SizesOf(dst));
  }
  if (same_strides || NumElements(src) == 0) return Status();
  return ArgumentError(kOp, dst.name, "have strides " + StridesOf(src) + " (those of src_cache)",
                       StridesOf(dst));
}

}  // namespace

Status PrepareConvertFp8(const ConvertFp8Args& args, ConvertFp8Params* params) {
  const TensorArg& dst = args.dst_cache;
  const TensorArg& src = args.src_cache;
  STABLEKV_RETURN_IF_ERROR(ParseFormat(args.kv_cache_dtype, &params->cache));
  STABLEKV_RETURN_IF_ERROR(CheckDTypes(dst, src, params->cache));
  STABLEKV_RETURN_IF_ERROR(CheckBackend(kOp, src));
  STABLEKV_RETURN_IF_ERROR(CheckMemory(kOp, src, src));
  STABLEKV_RETURN_IF_ERROR(CheckMemory(kOp, dst, src));
  STABLEKV_RETURN_IF_ERROR(CheckNoGaps(kOp, src));
  STABLEKV_RETURN_IF_ERROR(CheckNoGaps(kOp, dst));
  STABLEKV_RETURN_IF_ERROR(CheckSameLayout(dst, src));
  STABLEKV_RETURN_IF_ERROR(CheckDisjoint(kOp, dst, src));

  params->to_fp8 = IsElement(src.dtype);
  const TensorArg& elements = params->to_fp8 ? src : dst;
  params->elements = elements.data;
  params->fp8 = params->to_fp8 ? dst.data : src.data;
  params->count = NumElements(src);
  params->scale = static_cast<float>(args.scale);
  return CheckElementType(kOp, elements, &params->element);
}

}  // namespace stablekv
