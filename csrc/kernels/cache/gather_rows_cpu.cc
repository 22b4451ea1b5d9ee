#include <cstring>
#include <vector>

#include "csrc/kernels/cache/copy_runs_cpu.h"
#include "csrc/kernels/cache/gather_rows.h"
#include "csrc/kernels/cache/paged_runs_cpu.h"

namespace stablekv {
namespace {

void CopyRun(const PagedRun& run, const GatherPiece& piece) {
  if (piece.bytes == 0) return;  // memory that may not be there
  const auto* from = static_cast<const uint8_t*>(piece.from) + run.block * piece.block_stride +
                     run.offset * piece.token_stride;
  auto* to = static_cast<uint8_t*>(piece.to) + run.first_row * piece.row_stride;
  const auto bytes = static_cast<size_t>(piece.bytes);
  if (piece.token_stride == piece.bytes && piece.row_stride == piece.bytes) {
    memcpy(to, from, bytes * static_cast<size_t>(run.count));
    return;
  }
  for (int64_t i = 0; i < run.count; ++i) {
    memcpy(to + i * piece.row_stride, from + i * piece.token_stride, bytes);
  }
}

}  // namespace

void CopyRuns(const GatherRowsParams& params, const std::vector<PagedRun>& runs,
              ParallelFor parallel_for) {
  if (runs.empty()) return;  // rows that do not exist may be of any size
  int64_t row_bytes = 0;
  for (int64_t i = 0; i < params.num_pieces; ++i) row_bytes += params.pieces[i].bytes;
  ForEachRun(runs, row_bytes, parallel_for, [&](const PagedRun& run) {
    for (int64_t i = 0; i < params.num_pieces; ++i) CopyRun(run, params.pieces[i]);
  });
}

Status GatherRowsCpu(const GatherRowsParams& params, const RowStartsArg& starts,
                     ParallelFor parallel_for) {
  std::vector<PagedRun> runs;
  STABLEKV_RETURN_IF_ERROR(ListPagedRuns(params.rows, starts, &runs));
  CopyRuns(params, runs, parallel_for);
  return Status();
}

}  // namespace stablekv
