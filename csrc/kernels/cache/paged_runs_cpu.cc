#include "csrc/kernels/cache/paged_runs_cpu.h"

#include <algorithm>
#include <string>

namespace stablekv {
namespace {

Status Error(const char* argument, const std::string& wanted, const std::string& got) {
  return Status::Error(std::string(argument) + " must " + wanted + ", got " + got);
}

std::string At(int64_t value, int64_t index) {
  return std::to_string(value) + " at [" + std::to_string(index) + "]";
}

Status CheckStarts(const PagedRows& rows, const RowStartsArg& starts) {
  int64_t last = 0;
  for (int64_t i = 0; i < rows.num_starts; ++i) {
    const int64_t start = rows.row_starts[i];
    if (start < last) {
      return Error(starts.name,
                   i == 0 ? "begin with a row >= 0" : "not descend from " + At(last, i - 1),
                   At(start, i));
    }
    last = start;
  }
  if (last > rows.num_rows && !starts.may_be_cut) {
    return Error(starts.name,
                 "have no row past the " + std::to_string(rows.num_rows) + " of the destination",
                 At(last, rows.num_starts - 1));
  }
  return Status();
}

// Rows [first_row, end_row) of sequence `seq`.
Status ListRunsOfSequence(const PagedRows& rows, int64_t seq, int64_t first_row, int64_t end_row,
                          std::vector<PagedRun>* runs) {
  const int64_t first = rows.seq_starts == nullptr ? 0 : rows.seq_starts[seq];
  if (first < 0) return Error("seq_starts", "be at least 0", At(first, seq));

  const int64_t needed = (first + end_row - first_row - 1) / rows.block_size + 1;
  if (needed > rows.max_blocks_per_seq) {
    return Error("block_table",
                 "have at least " + std::to_string(needed) + " blocks of " +
                     std::to_string(rows.block_size) + " tokens a sequence, as sequence " +
                     std::to_string(seq) + " has " + std::to_string(end_row - first_row) +
                     " rows from token " + std::to_string(first) + " on",
                 std::to_string(rows.max_blocks_per_seq));
  }
  const int32_t* const table = rows.block_table + seq * rows.block_table_stride;
  int64_t position = first;
  for (int64_t row = first_row; row < end_row;) {
    const int64_t entry = position / rows.block_size;
    const int64_t offset = position % rows.block_size;
    const int64_t block = table[entry];
    if (block < 0 || block >= rows.num_blocks) {
      return Error("block_table",
                   rows.num_blocks == 0
                       ? "have none to read, as the cache has no blocks"
                       : "have blocks from 0 to " + std::to_string(rows.num_blocks - 1) +
                             ", as the cache has " + std::to_string(rows.num_blocks),
                   std::to_string(block) + " at [" + std::to_string(seq) + ", " +
                       std::to_string(entry) + "]");
    }
    const int64_t count = std::min(rows.block_size - offset, end_row - row);
    runs->push_back({row, count, block, offset});
    row += count;
    position += count;
  }
  return Status();
}

}  // namespace

Status ListPagedRuns(const PagedRows& rows, const RowStartsArg& starts,
                     std::vector<PagedRun>* runs) {
  STABLEKV_RETURN_IF_ERROR(CheckStarts(rows, starts));
  runs->clear();
  for (int64_t seq = 0; seq < rows.num_seqs; ++seq) {
    const int64_t first_row = rows.row_starts[seq];
    const int64_t end = seq + 1 < rows.num_starts ? rows.row_starts[seq + 1] : rows.num_rows;
    const int64_t end_row = std::min(end, rows.num_rows);
    if (first_row >= end_row) continue;
    STABLEKV_RETURN_IF_ERROR(ListRunsOfSequence(rows, seq, first_row, end_row, runs));
  }
  return Status();
}

}  // namespace stablekv
