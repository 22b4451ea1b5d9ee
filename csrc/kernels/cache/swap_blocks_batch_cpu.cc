#include "csrc/kernels/cache/swap_blocks_batch.h"

namespace stablekv {

Status SwapBlocksBatchCpu(const SwapBlocksBatchParams& params, ParallelFor parallel_for) {
  RunCopies(params.copies, parallel_for);
  return Status();
}

}  // namespace stablekv
