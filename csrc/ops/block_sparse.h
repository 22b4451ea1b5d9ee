// The five arguments of block-sparse attention.
#ifndef STABLEKV_CSRC_OPS_BLOCK_SPARSE_H_
#define STABLEKV_CSRC_OPS_BLOCK_SPARSE_H_

#include <cstdint>

#include "csrc/kernels/attention/paged_attention.h"
#include "csrc/kernels/common/status.h"

namespace stablekv {

// Checks `wanted` when it is active, so that the pattern's formula neither divides by zero nor
// overflows for up to `num_heads` heads and `max_seq_len` tokens. An inactive pattern is not
// looked at, and becomes all zeros.
Status CheckBlockSparse(const char* op, const BlockSparseParams& wanted, int64_t num_heads,
                        int64_t max_seq_len, BlockSparseParams* params);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_OPS_BLOCK_SPARSE_H_
