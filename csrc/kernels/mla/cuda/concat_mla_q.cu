// concat_mla_q on CUDA.
#include <cstdint>

#include "csrc/kernels/common/alignment.h"
#include "csrc/kernels/common/cuda/launch.h"
#include "csrc/kernels/common/cuda/launch_config.h"
#include "csrc/kernels/common/cuda/overlap.cuh"
#include "csrc/kernels/common/cuda/store_row.cuh"
#include "csrc/kernels/mla/concat_mla_q.h"

namespace stablekv {
namespace {

constexpr int kWarps = 8;  // of a CTA; a warp writes one head of one token at a time

struct ConcatArgs {
  ConcatMlaQParams params;
  bool nope_vectors;  // 16-byte accesses are aligned on both sides
  bool rope_vectors;
};

// float16 or bfloat16: the bits are copied.
constexpr ElementType kElement = ElementType::kFloat16;

__global__ void __launch_bounds__(kWarps* kWarpThreads)
    ConcatMlaQKernel(const __grid_constant__ ConcatArgs args) {
  WaitForEarlierKernels();
  LetNextKernelStart();
  const ConcatMlaQParams& params = args.params;
  const int lane = threadIdx.x % kWarpThreads;
  const int warp = threadIdx.x / kWarpThreads;
  const int64_t num_rows = params.num_tokens * params.num_heads;
  const int64_t step = static_cast<int64_t>(gridDim.x) * kWarps;
  for (int64_t row = static_cast<int64_t>(blockIdx.x) * kWarps + warp; row < num_rows;
       row += step) {
    const int64_t t = row / params.num_heads;
    const int64_t h = row - t * params.num_heads;
    uint16_t* const to = static_cast<uint16_t*>(params.q_out) + t * params.q_out_token_stride +
                         h * params.q_out_head_stride;
    StoreRow<kElement, CacheType::kAuto>(
        static_cast<const uint16_t*>(params.ql_nope) + t * params.ql_nope_token_stride +
            h * params.ql_nope_head_stride,
        to, params.nope_dim, 1.0f, args.nope_vectors, lane, kWarpThreads);
    StoreRow<kElement, CacheType::kAuto>(
        static_cast<const uint16_t*>(params.q_pe) + t * params.q_pe_token_stride +
            h * params.q_pe_head_stride,
        to + params.nope_dim, params.rope_dim, 1.0f, args.rope_vectors, lane, kWarpThreads);
  }
}

}  // namespace

Status ConcatMlaQCuda(const ConcatMlaQParams& params, CudaStream stream) {
  const int64_t num_rows = params.num_tokens * params.num_heads;
  if (num_rows == 0) return Status();
  ConcatArgs args = {};
  args.params = params;
  const bool out_aligned =
      IsAligned(params.q_out, {params.q_out_token_stride * 2, params.q_out_head_stride * 2}, 16);
  args.nope_vectors =
      out_aligned &&
      IsAligned(params.ql_nope, {params.ql_nope_token_stride * 2, params.ql_nope_head_stride * 2},
                16);
  args.rope_vectors =
      out_aligned && params.nope_dim * 2 % 16 == 0 &&
      IsAligned(params.q_pe, {params.q_pe_token_stride * 2, params.q_pe_head_stride * 2}, 16);
  return LaunchOverlapping<ConcatArgs>("concat_mla_q", ConcatMlaQKernel,
                                       GridFor((num_rows + kWarps - 1) / kWarps),
                                       dim3(kWarps * kWarpThreads), stream, args);
}

}  // namespace stablekv
