// The second kernel of paged attention, where sequences are split.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_REDUCE_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_REDUCE_H_

#include <cstdint>

#include "csrc/kernels/attention/paged_attention.h"

namespace stablekv {

// What the reduction goes by.
struct ReduceArgs {
  PagedAttentionParams params;
  PagedAttentionScratch scratch;
  int64_t split_tokens;   // row i of a sequence is of the tokens from i * split_tokens on
  int num_shares;         // if not 0, rows are those of shares (token_shares.cuh)
  bool singles_are_done;  // sequences of one split are in params.out already
};

// Combines the rows of the scratch into params.out.
Status LaunchReduce(const ReduceArgs& args, CudaStream stream);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_REDUCE_H_
