// How much of a prefix's and of a suffix's attention the merged attention takes.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_ATTN_WEIGHTS_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_ATTN_WEIGHTS_H_

#include <cmath>
#include <cstdint>

#include "csrc/kernels/attention/merge_attn_states.h"
#include "csrc/kernels/common/host_device.h"

namespace stablekv {

enum class AttnSource : int8_t {
  kPrefix,  // as it is
  kSuffix,  // as it is
  kBoth,    // prefix * prefix_weight + suffix * suffix_weight
};

struct AttnWeights {
  AttnSource source;
  float prefix;
  float suffix;
  float lse;  // of the merged attention
};

// With a, b the two lse, +inf read as -inf (how some kernels mark a row that attends to nothing):
//   m = max(a, b)
//   m = -inf: the prefix as it is, lse -inf
//   else: weights e^(a - m) / z and e^(b - m) / z with z their sum before division, lse log(z) + m
STABLEKV_HOST_DEVICE inline AttnWeights MergeWeights(float prefix_lse, float suffix_lse) {
  const float a = prefix_lse == INFINITY ? -INFINITY : prefix_lse;
  const float b = suffix_lse == INFINITY ? -INFINITY : suffix_lse;
  const float max = fmaxf(a, b);
  if (max == -INFINITY) return {AttnSource::kPrefix, 1.0f, 0.0f, -INFINITY};
  const float prefix = expf(a - max);
  const float suffix = expf(b - max);
  const float sum = prefix + suffix;
  return {AttnSource::kBoth, prefix / sum, suffix / sum, logf(sum) + max};
}

// Reads no prefix_lse past the prefix's tokens.
STABLEKV_HOST_DEVICE inline AttnWeights WeightsOf(const MergeAttnStatesParams& params,
                                                  int64_t token, int64_t head) {
  const float suffix_lse =
      params.suffix_lse
          .data[head * params.suffix_lse.head_stride + token * params.suffix_lse.token_stride];
  if (token >= params.prefix_tokens) return {AttnSource::kSuffix, 0.0f, 1.0f, suffix_lse};
  return MergeWeights(
      params.prefix_lse
          .data[head * params.prefix_lse.head_stride + token * params.prefix_lse.token_stride],
      suffix_lse);
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_ATTN_WEIGHTS_H_
