// The running softmax of one warp: tokens come in steps, no step is seen twice.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_SOFTMAX_STATE_CUH_
#define STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_SOFTMAX_STATE_CUH_

#include <cmath>

#include "csrc/kernels/common/cuda/warp.cuh"

namespace stablekv {

// What exponents are taken against: the maximum, or 0 as long as no token is attended to, so that
// -inf - -inf never comes up.
__device__ __forceinline__ float SoftmaxBase(float max) { return max == -INFINITY ? 0.0f : max; }

// The state of one head. `max` is the same in all lanes, `sum` is the lane's part.
struct SoftmaxState {
  float max = -INFINITY;
  float sum = 0.0f;

  // Takes in the lane's logits, -inf for tokens that are not attended to, and turns them into
  // weights relative to the new maximum. Returns the factor for what was accumulated before.
  template <int kCount>
  __device__ __forceinline__ float Update(float (&logits)[kCount]) {
    float step_max = logits[0];
#pragma unroll
    for (int i = 1; i < kCount; ++i) step_max = fmaxf(step_max, logits[i]);
    const float new_max = fmaxf(max, WarpMax(step_max));
    const float base = SoftmaxBase(new_max);
    const float correction = expf(max - base);
    sum *= correction;
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      logits[i] = expf(logits[i] - base);
      sum += logits[i];
    }
    max = new_max;
    return correction;
  }
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_SOFTMAX_STATE_CUH_
