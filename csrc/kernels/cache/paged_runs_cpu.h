// The rows of a gathered tensor as runs of tokens side by side in one block.
#ifndef STABLEKV_CSRC_KERNELS_CACHE_PAGED_RUNS_CPU_H_
#define STABLEKV_CSRC_KERNELS_CACHE_PAGED_RUNS_CPU_H_

#include <cstdint>
#include <vector>

#include "csrc/kernels/cache/paged_rows.h"
#include "csrc/kernels/common/parallel.h"
#include "csrc/kernels/common/status.h"

namespace stablekv {

// Rows first_row + i, i < count, are tokens offset + i of one block.
struct PagedRun {
  int64_t first_row;
  int64_t count;
  int64_t block;
  int64_t offset;
};

// Lists the runs of all covered rows, in the order of rows. An error, which names the tensor, the
// place and the value, when starts descend or are negative, rows lie past the last one, a table is
// too short, or an entry that is needed is no block of the cache.
Status ListPagedRuns(const PagedRows& rows, const RowStartsArg& starts,
                     std::vector<PagedRun>* runs);

// Calls `function(run)` for every run, in parallel where that pays for `row_bytes` a row.
template <typename Function>
void ForEachRun(const std::vector<PagedRun>& runs, int64_t row_bytes, ParallelFor parallel_for,
                const Function& function) {
  constexpr int64_t kGrainBytes = 64 * 1024;  // worth handing to another thread
  int64_t num_rows = 0;
  for (const PagedRun& run : runs) num_rows += run.count;
  const auto num_runs = static_cast<int64_t>(runs.size());
  const int64_t bytes = num_rows * row_bytes + 1;
  RunParallel(parallel_for, num_runs, kGrainBytes / (bytes / (num_runs + 1) + 1) + 1,
              [&](int64_t begin, int64_t end) {
                for (int64_t i = begin; i < end; ++i) function(runs[static_cast<size_t>(i)]);
              });
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_CACHE_PAGED_RUNS_CPU_H_
