#include "csrc/ops/paged_attention.h"

#include <iterator>
#include <limits>
#include <string>

#include "csrc/kernels/common/divide.h"
#include "csrc/ops/block_sparse.h"
#include "csrc/ops/check.h"
#include "csrc/ops/describe.h"
#include "csrc/ops/memory.h"
#include "csrc/ops/paged_kv_cache.h"

namespace stablekv {
namespace {

Status CheckQuery(const char* op, const PagedAttentionArgs& args, ElementType* element) {
  const TensorArg& query = args.query;
  STABLEKV_RETURN_IF_ERROR(CheckElementType(op, query, element));
  STABLEKV_RETURN_IF_ERROR(CheckBackend(op, query));
  STABLEKV_RETURN_IF_ERROR(CheckMemory(op, query, query));
  STABLEKV_RETURN_IF_ERROR(CheckShape(
      op, query, {{"num_seqs", kAnySize}, {"num_heads", kAnySize}, {"head_size", kAnySize}}));
  const int64_t head_size = query.size(2);
  if (!IsHeadSize(head_size)) {
    const std::string got = std::to_string(head_size);
    return ArgumentError(op, query.name,
                         "have a head size in " + ListOf(kHeadSizes, std::size(kHeadSizes)),
                         got + " (Unsupported head size: " + got + ")");
  }
  return CheckContiguousFrom(op, query, 2);
}

Status CheckScalars(const char* op, const PagedAttentionArgs& args) {
  if (!IsBlockSize(args.block_size)) {
    const std::string got = std::to_string(args.block_size);
    return ArgumentError(op, "block_size", "be in " + ListOf(kBlockSizes, std::size(kBlockSizes)),
                         got + " (Unsupported block size: " + got + ")");
  }
  if (args.num_kv_heads < 1) {
    return ArgumentError(op, "num_kv_heads", "be positive", args.num_kv_heads);
  }
  const int64_t num_heads = args.query.size(1);
  if (num_heads < 1 || num_heads % args.num_kv_heads != 0) {
    return ArgumentError(op, "query",
                         "have a positive multiple of num_kv_heads = " +
                             std::to_string(args.num_kv_heads) + " heads",
                         num_heads);
  }
  // Lengths are int32, so a larger maximum could only be a mistake.
  if (args.max_seq_len < 0 || args.max_seq_len > std::numeric_limits<int32_t>::max()) {
    return ArgumentError(op, "max_seq_len", "be in [0, 2147483647]", args.max_seq_len);
  }
  return Status();
}

Status CheckOut(const char* op, const PagedAttentionArgs& args) {
  const TensorArg& out = args.out;
  const TensorArg& query = args.query;
  STABLEKV_RETURN_IF_ERROR(CheckSameDType(op, out, query));
  STABLEKV_RETURN_IF_ERROR(CheckMemory(op, out, query));
  STABLEKV_RETURN_IF_ERROR(CheckShape(
      op, out,
      {{"num_seqs", query.size(0)}, {"num_heads", query.size(1)}, {"head_size", query.size(2)}}));
  STABLEKV_RETURN_IF_ERROR(CheckContiguousFrom(op, out, 2));
  return CheckDistinctElements(op, out);
}

Status CheckSequences(const char* op, const PagedAttentionArgs& args) {
  const TensorArg& tables = args.block_tables;
  const int64_t num_seqs = args.query.size(0);
  STABLEKV_RETURN_IF_ERROR(CheckDType(op, tables, DType::kInt32));
  STABLEKV_RETURN_IF_ERROR(CheckMemory(op, tables, args.query));
  STABLEKV_RETURN_IF_ERROR(
      CheckShape(op, tables, {{"num_seqs", num_seqs}, {"max_blocks_per_seq", kAnySize}}));
  STABLEKV_RETURN_IF_ERROR(CheckContiguousFrom(op, tables, 1));
  const int64_t blocks = CeilDivide(args.max_seq_len, args.block_size);
  if (num_seqs > 0 && tables.size(1) < blocks) {
    return ArgumentError(op, tables.name,
                         "have at least " + std::to_string(blocks) +
                             " columns (max_seq_len = " + std::to_string(args.max_seq_len) +
                             ", block_size = " + std::to_string(args.block_size) + ")",
                         "shape " + SizesOf(tables));
  }

  STABLEKV_RETURN_IF_ERROR(CheckDType(op, args.seq_lens, DType::kInt32));
  STABLEKV_RETURN_IF_ERROR(CheckMemory(op, args.seq_lens, args.query));
  STABLEKV_RETURN_IF_ERROR(CheckShape(op, args.seq_lens, {{"num_seqs", num_seqs}}));
  return CheckContiguousFrom(op, args.seq_lens, 0);
}

Status CheckAlibi(const char* op, const PagedAttentionArgs& args) {
  if (!args.alibi_slopes.has_value()) return Status();
  const TensorArg& slopes = *args.alibi_slopes;
  STABLEKV_RETURN_IF_ERROR(CheckDType(op, slopes, DType::kFloat32));
  STABLEKV_RETURN_IF_ERROR(CheckMemory(op, slopes, args.query));
  STABLEKV_RETURN_IF_ERROR(CheckShape(op, slopes, {{"num_heads", args.query.size(1)}}));
  return CheckContiguousFrom(op, slopes, 0);
}

// For args whose tensors are checked one by one.
Status CheckDisjointFromInputs(const char* op, const TensorArg& written,
                               const PagedAttentionArgs& args) {
  return CheckDisjoint(
      op, written,
      {&args.query, &args.key_cache, &args.value_cache, &args.block_tables, &args.seq_lens,
       args.alibi_slopes ? &*args.alibi_slopes : nullptr, &args.k_scale, &args.v_scale});
}

Status Prepare(const char* op, const PagedAttentionArgs& args, PagedAttentionParams* params) {
  const TensorArg& query = args.query;
  ElementType element;
  STABLEKV_RETURN_IF_ERROR(CheckQuery(op, args, &element));
  STABLEKV_RETURN_IF_ERROR(CheckScalars(op, args));

  PagedKvCache cache;
  STABLEKV_RETURN_IF_ERROR(
      CheckPagedKvCache(op,
                        {query, args.key_cache, args.value_cache, args.k_scale, args.v_scale,
                         args.kv_cache_dtype, args.num_kv_heads, args.block_size},
                        element, &cache));
  STABLEKV_RETURN_IF_ERROR(CheckOut(op, args));
  STABLEKV_RETURN_IF_ERROR(CheckSequences(op, args));
  STABLEKV_RETURN_IF_ERROR(CheckAlibi(op, args));
  STABLEKV_RETURN_IF_ERROR(CheckDisjointFromInputs(op, args.out, args));
  BlockSparseParams block_sparse;
  STABLEKV_RETURN_IF_ERROR(
      CheckBlockSparse(op,
                       {args.tp_rank, args.blocksparse_local_blocks, args.blocksparse_vert_stride,
                        args.blocksparse_block_size, args.blocksparse_head_sliding_step},
                       query.size(1), args.max_seq_len, &block_sparse));

  params->out = args.out.data;
  params->query = query.data;
  params->key_cache = args.key_cache.data;
  params->value_cache = args.value_cache.data;
  params->k_scale = static_cast<const float*>(args.k_scale.data);
  params->v_scale = static_cast<const float*>(args.v_scale.data);
  params->block_tables = static_cast<const int32_t*>(args.block_tables.data);
  params->seq_lens = static_cast<const int32_t*>(args.seq_lens.data);
  params->alibi_slopes =
      args.alibi_slopes.has_value() ? static_cast<const float*>(args.alibi_slopes->data) : nullptr;
  params->num_seqs = query.size(0);
  params->num_heads = query.size(1);
  params->num_kv_heads = args.num_kv_heads;
  params->head_size = query.size(2);
  params->block_size = args.block_size;
  params->num_blocks = cache.num_blocks;
  params->max_blocks_per_seq = args.block_tables.size(1);
  params->max_seq_len = args.max_seq_len;
  params->out_seq_stride = args.out.stride(0);
  params->out_head_stride = args.out.stride(1);
  params->query_seq_stride = query.stride(0);
  params->query_head_stride = query.stride(1);
  params->key_cache_block_stride = args.key_cache.stride(0);
  params->key_cache_head_stride = args.key_cache.stride(1);
  params->value_cache_block_stride = args.value_cache.stride(0);
  params->value_cache_head_stride = args.value_cache.stride(1);
  params->block_tables_stride = args.block_tables.stride(0);
  params->block_sparse = block_sparse;
  params->scale = static_cast<float>(args.scale);
  params->element = element;
  params->cache = cache.cache;
  return Status();
}

Status CheckScratches(const char* op, const PagedAttentionArgs& args,
                      const PagedAttentionScratchArgs& scratch) {
  const TensorArg& query = args.query;
  const int64_t partitions = CeilDivide(args.max_seq_len, kPartitionSize);
  const int64_t rows =
      SaturatingMultiply(SaturatingMultiply(query.size(0), query.size(1)), partitions);
  constexpr const char* kRows = "num_seqs * num_heads * ceil(max_seq_len / 512)";

  STABLEKV_RETURN_IF_ERROR(CheckDType(op, scratch.exp_sums, DType::kFloat32));
  STABLEKV_RETURN_IF_ERROR(CheckDType(op, scratch.max_logits, DType::kFloat32));
  STABLEKV_RETURN_IF_ERROR(CheckSameDType(op, scratch.tmp_out, query));
  STABLEKV_RETURN_IF_ERROR(CheckScratch(op, scratch.exp_sums, rows, kRows));
  STABLEKV_RETURN_IF_ERROR(CheckScratch(op, scratch.max_logits, rows, kRows));
  STABLEKV_RETURN_IF_ERROR(CheckScratch(op, scratch.tmp_out,
                                        SaturatingMultiply(rows, query.size(2)),
                                        "num_seqs * num_heads * ceil(max_seq_len / 512) * "
                                        "head_size"));

  const TensorArg* written[] = {&scratch.exp_sums, &scratch.max_logits, &scratch.tmp_out};
  for (const TensorArg* tensor : written) {
    STABLEKV_RETURN_IF_ERROR(CheckMemory(op, *tensor, query));
    STABLEKV_RETURN_IF_ERROR(CheckDisjoint(op, *tensor, args.out));
    STABLEKV_RETURN_IF_ERROR(CheckDisjointFromInputs(op, *tensor, args));
    for (const TensorArg* other : written) {
      if (other == tensor) break;
      STABLEKV_RETURN_IF_ERROR(CheckDisjoint(op, *tensor, *other));
    }
  }
  return Status();
}

}  // namespace

Status PreparePagedAttentionV1(const PagedAttentionArgs& args, PagedAttentionParams* params) {
  return Prepare("paged_attention_v1", args, params);
}

Status PreparePagedAttentionV2(const PagedAttentionArgs& args,
                               const PagedAttentionScratchArgs& scratch_args,
                               PagedAttentionParams* params, PagedAttentionScratch* scratch) {
  constexpr const char* kOp = "paged_attention_v2";
  STABLEKV_RETURN_IF_ERROR(Prepare(kOp, args, params));
  STABLEKV_RETURN_IF_ERROR(CheckScratches(kOp, args, scratch_args));
  scratch->exp_sums = static_cast<float*>(scratch_args.exp_sums.data);
  scratch->max_logits = static_cast<float*>(scratch_args.max_logits.data);
  scratch->tmp_out = scratch_args.tmp_out.data;
  scratch->num_partitions = CeilDivide(params->max_seq_len, kPartitionSize);
  scratch->tmp_element = params->element;
  return Status();
}

}  // namespace stablekv
