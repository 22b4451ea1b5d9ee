#include "csrc/ops/indexer_k_quant_and_cache.h"

#include <string>

#include "csrc/ops/check.h"
#include "csrc/ops/memory.h"
#include "csrc/ops/mla_rows.h"
#include "csrc/ops/slot_mapping.h"

namespace stablekv {
namespace {

constexpr const char* kOp = "indexer_k_quant_and_cache";
constexpr int64_t kScaleBytes = 4;  // of one float32

Status CheckGroups(const IndexerKQuantAndCacheArgs& args) {
  const int64_t head_dim = args.k.size(1);
  if (args.quant_block_size >= 1 && head_dim % args.quant_block_size == 0) return Status();
  return ArgumentError(kOp, "quant_block_size",
                       "be at least 1 and divide the head_dim of k, which is " +
                           std::to_string(head_dim) +
                           " (head_dim must be divisible by quant_block_size)",
                       args.quant_block_size);
}

}  // namespace

Status PrepareIndexerKQuantAndCache(const IndexerKQuantAndCacheArgs& args,
                                    IndexerKQuantAndCacheParams* params) {
  const TensorArg& k = args.k;
  const TensorArg& kv_cache = args.kv_cache;
  STABLEKV_RETURN_IF_ERROR(CheckDTypeIn(kOp, k, {DType::kFloat16, DType::kBFloat16}));
  STABLEKV_RETURN_IF_ERROR(CheckBackend(kOp, k));
  STABLEKV_RETURN_IF_ERROR(CheckTokenRows(kOp, k, {"head_dim", kAnySize}, k));
  STABLEKV_RETURN_IF_ERROR(CheckGroups(args));
  STABLEKV_RETURN_IF_ERROR(CheckDTypeIn(kOp, kv_cache, {DType::kUInt8, DType::kFloat8E4M3}));
  const int64_t head_dim = k.size(1);
  const int64_t groups = head_dim / args.quant_block_size;
  STABLEKV_RETURN_IF_ERROR(
      CheckWrittenEntries(kOp, kv_cache,
                          {"head_dim + 4 * head_dim / quant_block_size",
                           SaturatingAdd(head_dim, SaturatingMultiply(kScaleBytes, groups))},
                          k));
  STABLEKV_RETURN_IF_ERROR(CheckContiguousFrom(kOp, kv_cache, 1));
  STABLEKV_RETURN_IF_ERROR(CheckSlotMapping(kOp, args.slot_mapping, k));
  STABLEKV_RETURN_IF_ERROR(CheckCoversSlots(kOp, k, args.slot_mapping));
  STABLEKV_RETURN_IF_ERROR(CheckDisjoint(kOp, kv_cache, {&k, &args.slot_mapping}));

  params->k = k.data;
  params->kv_cache = kv_cache.data;
  params->slot_mapping = static_cast<const int64_t*>(args.slot_mapping.data);
  params->num_tokens = args.slot_mapping.size(0);
  params->num_blocks = kv_cache.size(0);
  params->block_size = kv_cache.size(1);
  params->head_dim = head_dim;
  params->quant_block_size = args.quant_block_size;
  params->k_stride = k.stride(0);
  params->cache_block_stride = kv_cache.stride(0);
  params->element = k.dtype == DType::kFloat16 ? ElementType::kFloat16 : ElementType::kBFloat16;
  params->power_of_two = args.kv_cache_dtype == "ue8m0";
  return Status();
}

}  // namespace stablekv
