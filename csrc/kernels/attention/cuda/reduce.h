// The second kernel of paged attention, where sequences are split.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_REDUCE_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_REDUCE_H_

#include <cstdint>

#include "csrc/kernels/attention/cuda/length_splits.h"
#include "csrc/kernels/attention/cuda/share_plan.h"
#include "csrc/kernels/attention/paged_attention.h"

namespace stablekv {

// What the reduction goes by.
struct ReduceArgs {
  PagedAttentionParams params;
  PagedAttentionScratch scratch;
  // What the rows of a sequence are of, in the order of its tokens:
  int64_t partition_size;  // if not 0, each of so many tokens,
  ShareSize shares;        // else, if there are, its shares (token_shares.cuh),
  LengthSplits splits;     // else its splits
  bool singles_are_done;   // sequences of one split are in params.out already
};

// Combines the rows of the scratch into params.out.
Status LaunchReduce(const ReduceArgs& args, CudaStream stream);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_REDUCE_H_
