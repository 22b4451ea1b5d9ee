// Rows of MLA: a latent part and a RoPE part for every token, and the paged cache of both.
#ifndef STABLEKV_CSRC_OPS_MLA_ROWS_H_
#define STABLEKV_CSRC_OPS_MLA_ROWS_H_

#include "csrc/kernels/common/status.h"
#include "csrc/ops/check.h"
#include "csrc/ops/tensor_arg.h"

namespace stablekv {

// Elements of a token: [num_tokens, `size`], of one element or more, without gaps in a row, on the
// device of `like`.
Status CheckTokenRows(const char* op, const TensorArg& rows, const Dim& size,
                      const TensorArg& like);

// A cache [num_blocks, block_size, `entry`] that is written, without gaps in an entry.
Status CheckWrittenEntries(const char* op, const TensorArg& kv_cache, const Dim& entry,
                           const TensorArg& like);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_OPS_MLA_ROWS_H_
