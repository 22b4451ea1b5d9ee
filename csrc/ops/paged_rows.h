// What every gather takes: a paged cache, tables of its blocks, and where each sequence's rows are.
#ifndef STABLEKV_CSRC_OPS_PAGED_ROWS_H_
#define STABLEKV_CSRC_OPS_PAGED_ROWS_H_

#include <cstdint>

#include "csrc/kernels/cache/paged_rows.h"
#include "csrc/kernels/common/status.h"
#include "csrc/ops/tensor_arg.h"

namespace stablekv {

struct PagedRowsArgs {
  const TensorArg& cache;        // [num_blocks, block_size, ..], already checked
  const TensorArg& block_table;  // [>= num_seqs, max_blocks_per_seq], int32
  const TensorArg& row_starts;   // int32, contiguous
  const TensorArg* seq_starts;   // [>= num_seqs], int32, contiguous; or null
  int64_t num_rows;              // of the gathered tensor that may be written
};

// row_starts has one value more than there are sequences, and gives their number.
Status PrepareCumulativeRows(const char* op, const PagedRowsArgs& args, PagedRows* rows);

// row_starts has one value or more for each of `num_seqs` sequences.
Status PrepareStartedRows(const char* op, const PagedRowsArgs& args, int64_t num_seqs,
                          PagedRows* rows);

// A tensor of a cache, [num_blocks, block_size, ..] of any further dimensions but at least one:
// where it is, and that its blocks have tokens.
Status CheckCacheOfEntries(const char* op, const TensorArg& cache);

// Rows that are written: [num_rows, ..], on the device of the cache and in memory of their own,
// each without gaps.
Status CheckGatheredRows(const char* op, const TensorArg& rows, const TensorArg& cache);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_OPS_PAGED_ROWS_H_
