// Joins the NoPE and RoPE parts of MLA queries.
#ifndef STABLEKV_CSRC_KERNELS_MLA_CONCAT_MLA_Q_H_
#define STABLEKV_CSRC_KERNELS_MLA_CONCAT_MLA_Q_H_

#include <cstdint>

#include "csrc/kernels/common/cuda_stream.h"
#include "csrc/kernels/common/parallel.h"
#include "csrc/kernels/common/status.h"

namespace stablekv {

// For token t and head h, bit for bit:
//   q_out[t, h, d]            = ql_nope[t, h, d],  0 <= d < nope_dim
//   q_out[t, h, nope_dim + d] = q_pe[t, h, d],     0 <= d < rope_dim
// Strides are in elements; the last dimensions are contiguous.
struct ConcatMlaQParams {
  const void* ql_nope;  // [num_tokens, num_heads, nope_dim], elements of 16 bits
  const void* q_pe;     // [num_tokens, num_heads, rope_dim], elements of 16 bits
  void* q_out;          // [num_tokens, num_heads, nope_dim + rope_dim], elements of 16 bits
  int64_t num_tokens;
  int64_t num_heads;
  int64_t nope_dim;  // elements
  int64_t rope_dim;  // elements
  int64_t ql_nope_token_stride;
  int64_t ql_nope_head_stride;
  int64_t q_pe_token_stride;
  int64_t q_pe_head_stride;
  int64_t q_out_token_stride;
  int64_t q_out_head_stride;
};

Status ConcatMlaQCpu(const ConcatMlaQParams& params, ParallelFor parallel_for);

// Asynchronous on `stream`.
Status ConcatMlaQCuda(const ConcatMlaQParams& params, CudaStream stream);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_MLA_CONCAT_MLA_Q_H_
