#include "csrc/ops/gather_and_maybe_dequant_cache.h"

#include <string>

#include "csrc/ops/check.h"
#include "csrc/ops/kv_cache_dtype.h"
#include "csrc/ops/paged_rows.h"

namespace stablekv {
namespace {

constexpr const char* kOp = "gather_and_maybe_dequant_cache";
constexpr const char* kRows = "rows (num_tokens)";

Status CheckTokens(const GatherAndMaybeDequantCacheArgs& args, GatherDequantParams* params) {
  const TensorArg& src = args.src_cache;
  const TensorArg& dst = args.dst;
  STABLEKV_RETURN_IF_ERROR(CheckElementType(kOp, dst, &params->element));
  STABLEKV_RETURN_IF_ERROR(ParseKvCacheDType(kOp, args.kv_cache_dtype, dst, &params->cache));
  STABLEKV_RETURN_IF_ERROR(CheckCacheDType(kOp, src, args.kv_cache_dtype, params->cache, dst));
  STABLEKV_RETURN_IF_ERROR(CheckCacheOfEntries(kOp, src));
  STABLEKV_RETURN_IF_ERROR(CheckShape(
      kOp, src, {{"num_blocks", kAnySize}, {"block_size", kAnySize}, {"entry_size", kAnySize}}));
  STABLEKV_RETURN_IF_ERROR(CheckContiguousFrom(kOp, src, 2));
  STABLEKV_RETURN_IF_ERROR(
      CheckShape(kOp, dst, {{"num_rows", kAnySize}, {"entry_size", src.size(2)}}));
  if (args.num_tokens < 0) return ArgumentError(kOp, "num_tokens", "be >= 0", args.num_tokens);
  STABLEKV_RETURN_IF_ERROR(CheckSizeAtLeast(kOp, dst, 0, args.num_tokens, kRows));
  return CheckGatheredRows(kOp, dst, src);
}

Status CheckTokenToSeq(const GatherAndMaybeDequantCacheArgs& args) {
  const TensorArg& token_to_seq = args.token_to_seq;
  STABLEKV_RETURN_IF_ERROR(CheckDType(kOp, token_to_seq, DType::kInt32));
  STABLEKV_RETURN_IF_ERROR(CheckMemory(kOp, token_to_seq, args.src_cache));
  STABLEKV_RETURN_IF_ERROR(CheckShape(kOp, token_to_seq, {{"num_tokens", kAnySize}}));
  STABLEKV_RETURN_IF_ERROR(CheckSizeAtLeast(kOp, token_to_seq, 0, args.num_tokens, kRows));
  return CheckContiguousFrom(kOp, token_to_seq, 0);
}

}  // namespace

Status PrepareGatherAndMaybeDequantCache(const GatherAndMaybeDequantCacheArgs& args,
                                         GatherDequantParams* params) {
  const TensorArg& src = args.src_cache;
  const TensorArg& dst = args.dst;
  STABLEKV_RETURN_IF_ERROR(CheckTokens(args, params));
  STABLEKV_RETURN_IF_ERROR(CheckTokenToSeq(args));
  STABLEKV_RETURN_IF_ERROR(CheckScale(kOp, args.scale, src));
  const TensorArg* const seq_starts = args.seq_starts ? &*args.seq_starts : nullptr;
  STABLEKV_RETURN_IF_ERROR(PrepareCumulativeRows(
      kOp, {src, args.block_table, args.cu_seq_lens, seq_starts, args.num_tokens}, &params->rows));
  STABLEKV_RETURN_IF_ERROR(CheckDisjoint(
      kOp, dst,
      {&args.block_table, &args.cu_seq_lens, seq_starts, &args.token_to_seq, &args.scale}));
  params->token_to_seq = static_cast<const int32_t*>(args.token_to_seq.data);
  params->from = src.data;
  params->to = dst.data;
  params->scale = static_cast<const float*>(args.scale.data);
  params->entry_size = src.size(2);
  params->block_stride = src.stride(0);
  params->token_stride = src.stride(1);
  params->row_stride = dst.stride(0);
  return Status();
}

}  // namespace stablekv
