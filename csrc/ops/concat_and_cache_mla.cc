#include "csrc/ops/concat_and_cache_mla.h"

#include <string>

#include "csrc/kernels/mla/ds_mla_layout.h"
#include "csrc/ops/check.h"
#include "csrc/ops/describe.h"
#include "csrc/ops/kv_cache_dtype.h"
#include "csrc/ops/memory.h"
#include "csrc/ops/mla_rows.h"
#include "csrc/ops/slot_mapping.h"

namespace stablekv {
namespace {

constexpr const char* kOp = "concat_and_cache_mla";
constexpr const char* kDsMla = "fp8_ds_mla";
constexpr const char* kForDsMla = " for kv_cache_dtype \"fp8_ds_mla\"";

// The layout has one shape, and 16 bits for a RoPE element.
Status CheckDsMla(const ConcatAndCacheMlaArgs& args, ElementType element) {
  if (element == ElementType::kFloat32) {
    return ArgumentError(kOp, args.kv_c.name, std::string("be float16 or bfloat16") + kForDsMla,
                         NameOf(args.kv_c.dtype));
  }
  const struct {
    const TensorArg& tensor;
    const char* name;
    int64_t size;
  } rows[] = {{args.kv_c, "kv_lora_rank", DsMlaLayout::kNopeElements},
              {args.k_pe, "pe_dim", DsMlaLayout::kRopeElements}};
  for (const auto& row : rows) {
    if (row.tensor.size(1) == row.size) continue;
    return ArgumentError(
        kOp, row.tensor.name,
        std::string("have a ") + row.name + " of " + std::to_string(row.size) + kForDsMla,
        "shape " + SizesOf(row.tensor));
  }
  if (args.kv_cache.dtype != DType::kUInt8) {
    return ArgumentError(kOp, args.kv_cache.name, std::string("be uint8") + kForDsMla,
                         NameOf(args.kv_cache.dtype));
  }
  return Status();
}

Status CheckRows(const ConcatAndCacheMlaArgs& args, ElementType* element) {
  STABLEKV_RETURN_IF_ERROR(CheckElementType(kOp, args.kv_c, element));
  STABLEKV_RETURN_IF_ERROR(CheckSameDType(kOp, args.k_pe, args.kv_c));
  STABLEKV_RETURN_IF_ERROR(CheckBackend(kOp, args.kv_c));
  STABLEKV_RETURN_IF_ERROR(CheckTokenRows(kOp, args.kv_c, {"kv_lora_rank", kAnySize}, args.kv_c));
  return CheckTokenRows(kOp, args.k_pe, {"pe_dim", kAnySize}, args.kv_c);
}

Status CheckCache(const ConcatAndCacheMlaArgs& args, ConcatAndCacheMlaParams* params) {
  const TensorArg& kv_cache = args.kv_cache;
  params->ds_mla = args.kv_cache_dtype == kDsMla;
  if (params->ds_mla) {
    params->cache = CacheType::kFp8E4M3;
    STABLEKV_RETURN_IF_ERROR(CheckDsMla(args, params->element));
    STABLEKV_RETURN_IF_ERROR(CheckWrittenEntries(
        kOp, kv_cache, {"bytes of fp8_ds_mla", DsMlaLayout::kTokenBytes}, args.kv_c));
  } else {
    STABLEKV_RETURN_IF_ERROR(
        ParseKvCacheDType(kOp, args.kv_cache_dtype, args.kv_c, &params->cache, kDsMla));
    STABLEKV_RETURN_IF_ERROR(
        CheckCacheDType(kOp, kv_cache, args.kv_cache_dtype, params->cache, args.kv_c));
    STABLEKV_RETURN_IF_ERROR(CheckWrittenEntries(
        kOp, kv_cache,
        {"kv_c.size(1) + k_pe.size(1)", SaturatingAdd(args.kv_c.size(1), args.k_pe.size(1))},
        args.kv_c));
  }
  return Status();
}

}  // namespace

Status PrepareConcatAndCacheMla(const ConcatAndCacheMlaArgs& args,
                                ConcatAndCacheMlaParams* params) {
  STABLEKV_RETURN_IF_ERROR(CheckRows(args, &params->element));
  STABLEKV_RETURN_IF_ERROR(CheckCache(args, params));
  STABLEKV_RETURN_IF_ERROR(CheckScale(kOp, args.scale, args.kv_c));
  STABLEKV_RETURN_IF_ERROR(CheckSlotMapping(kOp, args.slot_mapping, args.kv_c));
  STABLEKV_RETURN_IF_ERROR(CheckCoversSlots(kOp, args.kv_c, args.slot_mapping));
  STABLEKV_RETURN_IF_ERROR(CheckCoversSlots(kOp, args.k_pe, args.slot_mapping));
  STABLEKV_RETURN_IF_ERROR(
      CheckDisjoint(kOp, args.kv_cache, {&args.kv_c, &args.k_pe, &args.slot_mapping, &args.scale}));

  params->kv_c = args.kv_c.data;
  params->k_pe = args.k_pe.data;
  params->kv_cache = args.kv_cache.data;
  params->slot_mapping = static_cast<const int64_t*>(args.slot_mapping.data);
  params->scale = static_cast<const float*>(args.scale.data);
  params->num_tokens = args.slot_mapping.size(0);
  params->num_blocks = args.kv_cache.size(0);
  params->block_size = args.kv_cache.size(1);
  params->kv_lora_rank = args.kv_c.size(1);
  params->pe_dim = args.k_pe.size(1);
  params->kv_c_stride = args.kv_c.stride(0);
  params->k_pe_stride = args.k_pe.stride(0);
  params->cache_block_stride = args.kv_cache.stride(0);
  params->cache_token_stride = args.kv_cache.stride(1);
  return Status();
}

}  // namespace stablekv
