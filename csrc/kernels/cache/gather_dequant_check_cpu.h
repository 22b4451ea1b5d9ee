// Checks of what gather_and_maybe_dequant_cache's index tensors hold, made on the CPU.
#ifndef STABLEKV_CSRC_KERNELS_CACHE_GATHER_DEQUANT_CHECK_CPU_H_
#define STABLEKV_CSRC_KERNELS_CACHE_GATHER_DEQUANT_CHECK_CPU_H_

#include <vector>

#include "csrc/kernels/cache/gather_dequant.h"
#include "csrc/kernels/cache/paged_runs_cpu.h"
#include "csrc/kernels/common/status.h"

namespace stablekv {

// ListPagedRuns, which checks the rows, and a check of the sequences of the tokens in these runs.
// Reads the tables of `params.rows` and token_to_seq alone.
Status CheckGatherDequantValues(const GatherDequantParams& params, const RowStartsArg& starts,
                                std::vector<PagedRun>* runs);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_CACHE_GATHER_DEQUANT_CHECK_CPU_H_
