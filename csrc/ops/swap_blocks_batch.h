// swap_blocks_batch: from the operator's arguments to the kernel's parameters.
#ifndef STABLEKV_CSRC_OPS_SWAP_BLOCKS_BATCH_H_
#define STABLEKV_CSRC_OPS_SWAP_BLOCKS_BATCH_H_

#include "csrc/kernels/cache/swap_blocks_batch.h"
#include "csrc/kernels/common/status.h"
#include "csrc/ops/tensor_arg.h"

namespace stablekv {

struct SwapBlocksBatchArgs {
  TensorArg src_ptrs;  // [num_copies] int64 on the CPU: addresses
  TensorArg dst_ptrs;  // the same
  TensorArg sizes;     // [num_copies] int64 on the CPU: bytes
  bool is_src_access_order_any;
};

// Checks everything that can be known of addresses, then fills `params`, leaving out copies of no
// bytes and copies of memory to itself.
Status PrepareSwapBlocksBatch(const SwapBlocksBatchArgs& args, SwapBlocksBatchParams* params);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_OPS_SWAP_BLOCKS_BATCH_H_
