#include "csrc/ops/paged_rows.h"

#include <string>

#include "csrc/ops/check.h"
#include "csrc/ops/describe.h"

namespace stablekv {
namespace {

// An int32 tensor of one value a sequence, or more.
Status CheckPerSequence(const char* op, const TensorArg& tensor, const TensorArg& cache,
                        int64_t num_seqs) {
  STABLEKV_RETURN_IF_ERROR(CheckDType(op, tensor, DType::kInt32));
  STABLEKV_RETURN_IF_ERROR(CheckMemory(op, tensor, cache));
  STABLEKV_RETURN_IF_ERROR(CheckShape(op, tensor, {{"num_seqs", kAnySize}}));
  STABLEKV_RETURN_IF_ERROR(CheckSizeAtLeast(op, tensor, 0, num_seqs, "sequences"));
  return CheckContiguousFrom(op, tensor, 0);
}

Status CheckBlockTable(const char* op, const TensorArg& table, const TensorArg& cache,
                       int64_t num_seqs) {
  STABLEKV_RETURN_IF_ERROR(CheckDType(op, table, DType::kInt32));
  STABLEKV_RETURN_IF_ERROR(CheckMemory(op, table, cache));
  STABLEKV_RETURN_IF_ERROR(
      CheckShape(op, table, {{"num_seqs", kAnySize}, {"max_blocks_per_seq", kAnySize}}));
  STABLEKV_RETURN_IF_ERROR(CheckSizeAtLeast(op, table, 0, num_seqs, "sequences"));
  return CheckContiguousFrom(op, table, 1);
}

// All but row_starts.
Status Prepare(const char* op, const PagedRowsArgs& args, int64_t num_seqs, PagedRows* rows) {
  STABLEKV_RETURN_IF_ERROR(CheckBlockTable(op, args.block_table, args.cache, num_seqs));
  if (args.seq_starts != nullptr) {
    STABLEKV_RETURN_IF_ERROR(CheckPerSequence(op, *args.seq_starts, args.cache, num_seqs));
  }
  rows->row_starts = static_cast<const int32_t*>(args.row_starts.data);
  rows->seq_starts =
      args.seq_starts == nullptr ? nullptr : static_cast<const int32_t*>(args.seq_starts->data);
  rows->block_table = static_cast<const int32_t*>(args.block_table.data);
  rows->num_rows = args.num_rows;
  rows->num_seqs = num_seqs;
  rows->num_starts = num_seqs;
  rows->max_blocks_per_seq = args.block_table.size(1);
  rows->block_table_stride = args.block_table.stride(0);
  rows->num_blocks = args.cache.size(0);
  rows->block_size = args.cache.size(1);
  return Status();
}

}  // namespace

Status PrepareCumulativeRows(const char* op, const PagedRowsArgs& args, PagedRows* rows) {
  const TensorArg& starts = args.row_starts;
  STABLEKV_RETURN_IF_ERROR(CheckDType(op, starts, DType::kInt32));
  STABLEKV_RETURN_IF_ERROR(CheckMemory(op, starts, args.cache));
  STABLEKV_RETURN_IF_ERROR(CheckShape(op, starts, {{"num_seqs + 1", kAnySize}}));
  STABLEKV_RETURN_IF_ERROR(CheckSizeAtLeast(op, starts, 0, 1, "elements"));
  STABLEKV_RETURN_IF_ERROR(CheckContiguousFrom(op, starts, 0));
  STABLEKV_RETURN_IF_ERROR(Prepare(op, args, starts.size(0) - 1, rows));
  rows->num_starts = rows->num_seqs + 1;
  return Status();
}

Status PrepareStartedRows(const char* op, const PagedRowsArgs& args, int64_t num_seqs,
                          PagedRows* rows) {
  STABLEKV_RETURN_IF_ERROR(CheckPerSequence(op, args.row_starts, args.cache, num_seqs));
  return Prepare(op, args, num_seqs, rows);
}

Status CheckCacheOfEntries(const char* op, const TensorArg& cache) {
  STABLEKV_RETURN_IF_ERROR(CheckBackend(op, cache));
  STABLEKV_RETURN_IF_ERROR(CheckMemory(op, cache, cache));
  if (cache.dim < 3) {
    return ArgumentError(op, cache.name, "have shape [num_blocks, block_size, ..]", SizesOf(cache));
  }
  if (cache.size(1) < 1) {
    return ArgumentError(op, cache.name, "have a block size of at least 1", cache.size(1));
  }
  return Status();
}

Status CheckGatheredRows(const char* op, const TensorArg& rows, const TensorArg& cache) {
  STABLEKV_RETURN_IF_ERROR(CheckMemory(op, rows, cache));
  STABLEKV_RETURN_IF_ERROR(CheckContiguousFrom(op, rows, 1));
  STABLEKV_RETURN_IF_ERROR(CheckDistinctElements(op, rows));
  return CheckDisjoint(op, rows, cache);
}

}  // namespace stablekv
