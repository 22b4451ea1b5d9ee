#include <cstddef>
#include <cstdint>
#include <cstring>

#include "csrc/kernels/mla/concat_mla_q.h"
#include "csrc/kernels/mla/token_grain_cpu.h"

namespace stablekv {

Status ConcatMlaQCpu(const ConcatMlaQParams& params, ParallelFor parallel_for) {
  const auto* const nope = static_cast<const uint16_t*>(params.ql_nope);
  const auto* const rope = static_cast<const uint16_t*>(params.q_pe);
  auto* const out = static_cast<uint16_t*>(params.q_out);
  const int64_t nope_bytes = params.nope_dim * 2;
  const int64_t rope_bytes = params.rope_dim * 2;
  RunParallel(
      parallel_for, params.num_tokens * params.num_heads, GrainOf(nope_bytes + rope_bytes),
      [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
          const int64_t t = row / params.num_heads;
          const int64_t h = row % params.num_heads;
          uint16_t* const to = out + t * params.q_out_token_stride + h * params.q_out_head_stride;
          memcpy(to, nope + t * params.ql_nope_token_stride + h * params.ql_nope_head_stride,
                 static_cast<size_t>(nope_bytes));
          memcpy(to + params.nope_dim,
                 rope + t * params.q_pe_token_stride + h * params.q_pe_head_stride,
                 static_cast<size_t>(rope_bytes));
        }
      });
  return Status();
}

}  // namespace stablekv
