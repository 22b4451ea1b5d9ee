// swap_blocks: from the operator's arguments to the kernel's parameters.
#ifndef STABLEKV_CSRC_OPS_SWAP_BLOCKS_H_
#define STABLEKV_CSRC_OPS_SWAP_BLOCKS_H_

#include <cstdint>

#include "csrc/kernels/cache/swap_blocks.h"
#include "csrc/kernels/common/status.h"
#include "csrc/ops/tensor_arg.h"

namespace stablekv {

struct SwapBlocksArgs {
  TensorArg src;  // any shape without gaps, on the CPU or on a CUDA device
  TensorArg dst;  // the same, written; not on another CUDA device than src
  int64_t block_size_in_bytes;
  TensorArg block_mapping;  // [n, 2] int64 on the CPU
};

// Checks everything, block numbers too, then fills `params`. Tensors must outlive it. An empty
// mapping is fine.
Status PrepareSwapBlocks(const SwapBlocksArgs& args, SwapBlocksParams* params);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_OPS_SWAP_BLOCKS_H_
