#include "csrc/ops/cp_gather_indexer_k_quant_cache.h"

#include <string>

#include "csrc/ops/check.h"
#include "csrc/ops/describe.h"
#include "csrc/ops/memory.h"
#include "csrc/ops/paged_rows.h"

namespace stablekv {
namespace {

constexpr const char* kOp = "cp_gather_indexer_k_quant_cache";
constexpr int64_t kScaleBytes = 4;  // of one float32

// A whole number of float32 scales, each for as many elements as the others.
Status CheckGroups(const TensorArg& dst_k, const TensorArg& dst_scale) {
  const int64_t head_dim = dst_k.size(1);
  const int64_t bytes = dst_scale.size(1);
  if (bytes > 0 && bytes % kScaleBytes == 0 && head_dim > 0 &&
      head_dim % (bytes / kScaleBytes) == 0) {
    return Status();
  }
  return ArgumentError(kOp, dst_scale.name,
                       "have 4 bytes for every quant_block_size elements of dst_k (head_dim must "
                       "be divisible by quant_block_size; head_dim is " +
                           std::to_string(head_dim) + ")",
                       "shape " + SizesOf(dst_scale));
}

Status CheckTokens(const CpGatherIndexerKQuantCacheArgs& args) {
  const TensorArg& cache = args.kv_cache;
  const TensorArg& dst_k = args.dst_k;
  const TensorArg& dst_scale = args.dst_scale;
  STABLEKV_RETURN_IF_ERROR(CheckDTypeIn(kOp, cache, {DType::kUInt8, DType::kFloat8E4M3}));
  STABLEKV_RETURN_IF_ERROR(CheckDTypeIn(kOp, dst_k, {DType::kUInt8, DType::kFloat8E4M3}));
  STABLEKV_RETURN_IF_ERROR(CheckDType(kOp, dst_scale, DType::kUInt8));
  STABLEKV_RETURN_IF_ERROR(CheckCacheOfEntries(kOp, cache));
  STABLEKV_RETURN_IF_ERROR(
      CheckShape(kOp, dst_k, {{"num_rows", kAnySize}, {"head_dim", kAnySize}}));
  STABLEKV_RETURN_IF_ERROR(
      CheckShape(kOp, dst_scale, {{"num_rows", dst_k.size(0)}, {"4 * num_scales", kAnySize}}));
  STABLEKV_RETURN_IF_ERROR(CheckGroups(dst_k, dst_scale));
  STABLEKV_RETURN_IF_ERROR(
      CheckShape(kOp, cache,
                 {{"num_blocks", kAnySize},
                  {"block_size", kAnySize},
                  {"head_dim + 4 * num_scales", SaturatingAdd(dst_k.size(1), dst_scale.size(1))}}));
  STABLEKV_RETURN_IF_ERROR(CheckContiguousFrom(kOp, cache, 1));
  STABLEKV_RETURN_IF_ERROR(CheckGatheredRows(kOp, dst_k, cache));
  STABLEKV_RETURN_IF_ERROR(CheckGatheredRows(kOp, dst_scale, cache));
  return CheckDisjoint(kOp, dst_k, dst_scale);
}

}  // namespace

Status PrepareCpGatherIndexerKQuantCache(const CpGatherIndexerKQuantCacheArgs& args,
                                         GatherRowsParams* params) {
  const TensorArg& cache = args.kv_cache;
  const TensorArg& dst_k = args.dst_k;
  const TensorArg& dst_scale = args.dst_scale;
  STABLEKV_RETURN_IF_ERROR(CheckTokens(args));
  *params = {};
  STABLEKV_RETURN_IF_ERROR(PrepareCumulativeRows(
      kOp, {cache, args.block_table, args.cu_seq_lens, nullptr, dst_k.size(0)}, &params->rows));
  for (const TensorArg* rows : {&dst_k, &dst_scale}) {
    STABLEKV_RETURN_IF_ERROR(CheckDisjoint(kOp, *rows, {&args.block_table, &args.cu_seq_lens}));
  }
  const int64_t head_dim = dst_k.size(1);
  const int64_t scale_bytes = dst_scale.size(1);
  const auto* const keys = static_cast<const uint8_t*>(cache.data);
  // No address is made from memory that is not there.
  const uint8_t* const scales = NumElements(cache) == 0 ? nullptr : keys + cache.size(1) * head_dim;
  params->num_pieces = 2;
  params->pieces[0] = {keys, dst_k.data, cache.stride(0), head_dim, dst_k.stride(0), head_dim};
  params->pieces[1] = {scales,      dst_scale.data,      cache.stride(0),
                       scale_bytes, dst_scale.stride(0), scale_bytes};
  return Status();
}

}  // namespace stablekv
