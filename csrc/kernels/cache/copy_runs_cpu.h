// Copies runs of tokens, for gathers that have listed them already.
#ifndef STABLEKV_CSRC_KERNELS_CACHE_COPY_RUNS_CPU_H_
#define STABLEKV_CSRC_KERNELS_CACHE_COPY_RUNS_CPU_H_

#include <vector>

#include "csrc/kernels/cache/gather_rows.h"
#include "csrc/kernels/cache/paged_runs_cpu.h"
#include "csrc/kernels/common/parallel.h"

namespace stablekv {

// Copies every piece of the tokens of `runs`.
void CopyRuns(const GatherRowsParams& params, const std::vector<PagedRun>& runs,
              ParallelFor parallel_for);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_CACHE_COPY_RUNS_CPU_H_
