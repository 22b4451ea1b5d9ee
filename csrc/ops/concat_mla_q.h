// concat_mla_q: from the operator's arguments to the kernel's parameters.
#ifndef STABLEKV_CSRC_OPS_CONCAT_MLA_Q_H_
#define STABLEKV_CSRC_OPS_CONCAT_MLA_Q_H_

#include "csrc/kernels/common/status.h"
#include "csrc/kernels/mla/concat_mla_q.h"
#include "csrc/ops/tensor_arg.h"

namespace stablekv {

struct ConcatMlaQArgs {
  TensorArg ql_nope;  // [num_tokens, num_heads, nope_dim]
  TensorArg q_pe;     // [num_tokens, num_heads, 64]
  TensorArg q_out;    // [num_tokens, num_heads, nope_dim + 64], written
};

// Checks everything, then fills `params`. Tensors must outlive it. Zero tokens are fine.
Status PrepareConcatMlaQ(const ConcatMlaQArgs& args, ConcatMlaQParams* params);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_OPS_CONCAT_MLA_Q_H_
