#include "csrc/ops/concat_and_cache_mla_rope_fused.h"

#include <string>

#include "csrc/ops/check.h"
#include "csrc/ops/describe.h"
#include "csrc/ops/kv_cache_dtype.h"
#include "csrc/ops/memory.h"
#include "csrc/ops/mla_rows.h"
#include "csrc/ops/slot_mapping.h"

namespace stablekv {
namespace {

using Args = ConcatAndCacheMlaRopeFusedArgs;

constexpr const char* kOp = "concat_and_cache_mla_rope_fused";

Status CheckQueries(const TensorArg& q_pe, ElementType* element) {
  STABLEKV_RETURN_IF_ERROR(CheckElementType(kOp, q_pe, element));
  STABLEKV_RETURN_IF_ERROR(CheckBackend(kOp, q_pe));
  STABLEKV_RETURN_IF_ERROR(CheckMemory(kOp, q_pe, q_pe));
  STABLEKV_RETURN_IF_ERROR(CheckShape(
      kOp, q_pe, {{"num_tokens", kAnySize}, {"num_heads", kAnySize}, {"pe_dim", kAnySize}}));
  if (q_pe.size(2) < 2 || q_pe.size(2) % 2 != 0) {
    return ArgumentError(kOp, q_pe.name, "have a pe_dim that is even and at least 2",
                         "shape " + SizesOf(q_pe));
  }
  STABLEKV_RETURN_IF_ERROR(CheckContiguousFrom(kOp, q_pe, 2));
  return CheckDistinctElements(kOp, q_pe);
}

Status CheckKeys(const Args& args) {
  const TensorArg& q_pe = args.q_pe;
  STABLEKV_RETURN_IF_ERROR(CheckSameDType(kOp, args.k_pe, q_pe));
  STABLEKV_RETURN_IF_ERROR(CheckSameDType(kOp, args.kv_c, q_pe));
  STABLEKV_RETURN_IF_ERROR(CheckTokenRows(kOp, args.k_pe, {"pe_dim", q_pe.size(2)}, q_pe));
  STABLEKV_RETURN_IF_ERROR(CheckTokenRows(kOp, args.kv_c, {"kv_lora_rank", kAnySize}, q_pe));
  return CheckDistinctElements(kOp, args.k_pe);
}

Status CheckPositions(const Args& args) {
  const TensorArg& positions = args.positions;
  const TensorArg& table = args.cos_sin_cache;
  STABLEKV_RETURN_IF_ERROR(CheckDType(kOp, positions, DType::kInt64));
  STABLEKV_RETURN_IF_ERROR(CheckMemory(kOp, positions, args.q_pe));
  STABLEKV_RETURN_IF_ERROR(CheckShape(kOp, positions, {{"num_tokens", kAnySize}}));
  STABLEKV_RETURN_IF_ERROR(CheckContiguousFrom(kOp, positions, 0));
  STABLEKV_RETURN_IF_ERROR(CheckSameDType(kOp, table, args.q_pe));
  STABLEKV_RETURN_IF_ERROR(CheckMemory(kOp, table, args.q_pe));
  STABLEKV_RETURN_IF_ERROR(
      CheckShape(kOp, table, {{"num_positions", kAnySize}, {"pe_dim", args.q_pe.size(2)}}));
  return CheckContiguousFrom(kOp, table, 1);
}

// What is written must not be anything else of this call.
Status CheckWritten(const Args& args) {
  STABLEKV_RETURN_IF_ERROR(CheckDisjoint(kOp, args.q_pe, {&args.k_pe, &args.kv_cache}));
  STABLEKV_RETURN_IF_ERROR(CheckDisjoint(kOp, args.k_pe, args.kv_cache));
  for (const TensorArg* written : {&args.q_pe, &args.k_pe, &args.kv_cache}) {
    STABLEKV_RETURN_IF_ERROR(CheckDisjoint(kOp, *written,
                                           {&args.kv_c, &args.cos_sin_cache, &args.positions,
                                            &args.slot_mapping, &args.kv_cache_scale}));
  }
  return Status();
}

Status Check(const Args& args, ConcatAndCacheMlaRopeFusedParams* params) {
  const TensorArg& q_pe = args.q_pe;
  STABLEKV_RETURN_IF_ERROR(CheckQueries(q_pe, &params->element));
  STABLEKV_RETURN_IF_ERROR(CheckKeys(args));
  STABLEKV_RETURN_IF_ERROR(CheckPositions(args));
  STABLEKV_RETURN_IF_ERROR(ParseKvCacheDType(kOp, args.kv_cache_dtype, q_pe, &params->cache));
  STABLEKV_RETURN_IF_ERROR(
      CheckCacheDType(kOp, args.kv_cache, args.kv_cache_dtype, params->cache, q_pe));
  STABLEKV_RETURN_IF_ERROR(CheckWrittenEntries(
      kOp, args.kv_cache,
      {"kv_c.size(1) + q_pe.size(2)", SaturatingAdd(args.kv_c.size(1), q_pe.size(2))}, q_pe));
  STABLEKV_RETURN_IF_ERROR(CheckScale(kOp, args.kv_cache_scale, q_pe));
  STABLEKV_RETURN_IF_ERROR(CheckSlotMapping(kOp, args.slot_mapping, q_pe));
  for (const TensorArg* tensor : {&args.positions, &args.q_pe, &args.k_pe, &args.kv_c}) {
    STABLEKV_RETURN_IF_ERROR(CheckCoversSlots(kOp, *tensor, args.slot_mapping));
  }
  return CheckWritten(args);
}

}  // namespace

Status PrepareConcatAndCacheMlaRopeFused(const Args& args,
                                         ConcatAndCacheMlaRopeFusedParams* params) {
  STABLEKV_RETURN_IF_ERROR(Check(args, params));
  params->positions = static_cast<const int64_t*>(args.positions.data);
  params->q_pe = args.q_pe.data;
  params->k_pe = args.k_pe.data;
  params->kv_c = args.kv_c.data;
  params->cos_sin_cache = args.cos_sin_cache.data;
  params->slot_mapping = static_cast<const int64_t*>(args.slot_mapping.data);
  params->kv_cache = args.kv_cache.data;
  params->scale = static_cast<const float*>(args.kv_cache_scale.data);
  params->num_tokens = args.slot_mapping.size(0);
  params->num_heads = args.q_pe.size(1);
  params->num_positions = args.cos_sin_cache.size(0);
  params->num_blocks = args.kv_cache.size(0);
  params->block_size = args.kv_cache.size(1);
  params->kv_lora_rank = args.kv_c.size(1);
  params->pe_dim = args.q_pe.size(2);
  params->q_pe_token_stride = args.q_pe.stride(0);
  params->q_pe_head_stride = args.q_pe.stride(1);
  params->k_pe_stride = args.k_pe.stride(0);
  params->kv_c_stride = args.kv_c.stride(0);
  params->cos_sin_stride = args.cos_sin_cache.stride(0);
  params->cache_block_stride = args.kv_cache.stride(0);
  params->cache_token_stride = args.kv_cache.stride(1);
  params->is_neox = args.is_neox;
  return Status();
}

}  // namespace stablekv
