// Checks of what paged attention's tensors hold, made on the CPU before anything is written.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_PAGED_ATTENTION_CHECK_CPU_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_PAGED_ATTENTION_CHECK_CPU_H_

#include "csrc/kernels/attention/paged_attention.h"
#include "csrc/kernels/common/status.h"

namespace stablekv {

// Sizes the kernels can work with, lengths within max_seq_len and the block table, and every block
// that some head attends to within the cache. Reads seq_lens and block_tables alone.
Status CheckPagedAttention(const PagedAttentionParams& params);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_PAGED_ATTENTION_CHECK_CPU_H_
