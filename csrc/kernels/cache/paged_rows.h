// Which token of a paged cache each row of a gathered tensor comes from.
#ifndef STABLEKV_CSRC_KERNELS_CACHE_PAGED_ROWS_H_
#define STABLEKV_CSRC_KERNELS_CACHE_PAGED_ROWS_H_

#include <cstdint>

#include "csrc/kernels/common/host_device.h"

namespace stablekv {

// The rows of sequence s are [row_starts[s], row_starts[s + 1]); with
//   position = row - row_starts[s] + seq_starts[s]
// such a row is token position % block_size of block block_table[s, position / block_size]. A row
// of no sequence is uncovered: it comes from nowhere and is left as it is.
struct PagedRows {
  const int32_t* row_starts;   // [num_starts], ascending
  const int32_t* seq_starts;   // [num_seqs], tokens: where each sequence's rows begin; null: all 0
  const int32_t* block_table;  // [num_seqs, max_blocks_per_seq], block numbers
  int64_t num_rows;            // of the gathered tensor that may be written
  int64_t num_seqs;
  int64_t num_starts;  // num_seqs + 1, or num_seqs when the last sequence ends with the rows
  int64_t max_blocks_per_seq;
  int64_t block_table_stride;  // elements from sequence to sequence
  int64_t num_blocks;          // of the cache
  int64_t block_size;          // tokens
};

// What the CPU's checks need to know of the tensor behind row_starts.
struct RowStartsArg {
  const char* name;  // for messages
  bool may_be_cut;   // sequences may have rows past the last one; these are left out
};

// Why a row comes from nowhere.
enum class RowFault : int8_t {
  kNone,
  kUncovered,      // no fault of the caller's
  kNegative,       // seq_starts points before the sequence
  kTableTooShort,  // past the last block of the sequence's table
  kNoSuchBlock,    // the table's entry is no block of the cache
};

struct RowSource {
  int64_t block;
  int64_t offset;  // tokens into the block
  RowFault fault;  // block and offset mean nothing unless this is kNone
};

// The sequence of a row: the last one that begins at it or before it, so that sequences without
// rows are passed over. -1 for an uncovered row.
STABLEKV_HOST_DEVICE inline int64_t SequenceOfRow(const PagedRows& rows, int64_t row) {
  int64_t low = 0;  // all starts below `low` are <= row, all from `high` on are greater
  int64_t high = rows.num_starts;
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    if (rows.row_starts[middle] <= row) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low > rows.num_seqs ? -1 : low - 1;
}

// Reads nothing outside the tables, whatever is in them.
STABLEKV_HOST_DEVICE inline RowSource SourceOfRow(const PagedRows& rows, int64_t row) {
  const int64_t seq = SequenceOfRow(rows, row);
  if (seq < 0) return {0, 0, RowFault::kUncovered};
  const int64_t first = rows.seq_starts == nullptr ? 0 : rows.seq_starts[seq];
  const int64_t position = row - rows.row_starts[seq] + first;
  if (position < 0) return {0, 0, RowFault::kNegative};
  const int64_t entry = position / rows.block_size;
  if (entry >= rows.max_blocks_per_seq) return {0, 0, RowFault::kTableTooShort};
  const int64_t block = rows.block_table[seq * rows.block_table_stride + entry];
  if (block < 0 || block >= rows.num_blocks) return {0, 0, RowFault::kNoSuchBlock};
  return {block, position - entry * rows.block_size, RowFault::kNone};
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_CACHE_PAGED_ROWS_H_
