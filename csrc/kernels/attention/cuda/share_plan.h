// What batches the device can cut into shares (token_shares.cuh), for the host to plan by.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_SHARE_PLAN_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_SHARE_PLAN_H_

#include <cstdint>

#include "csrc/kernels/common/divisor.h"

namespace stablekv {

// Sequences, at most, whose tokens are shared out.
inline constexpr int kMostSharing = 128;

// Shares have a multiple of this many tokens: each warp of a CTA a step.
inline constexpr int kShareUnit = 256;

// All tokens are counted by so many. By kShareUnit, what is rounded up for each sequence would make
// shares too large; one by one, they do not fit into an int.
inline constexpr int kShareGrain = 64;

// The longest sequence whose tokens are shared out: its length is a float without rounding.
inline constexpr int kLongestShared = 1 << 24;

// Into how many shares a batch is cut, and how large they are.
class ShareSize {
 public:
  ShareSize() = default;  // not into shares
  explicit ShareSize(int num_shares)
      : num_shares_(num_shares),
        grains_of_unit_(static_cast<uint32_t>(num_shares) * (kShareUnit / kShareGrain)) {}

  constexpr int num_shares() const { return num_shares_; }

  // Of all shares but the last of each sequence, for sequences of `grains` * kShareGrain tokens.
  // Works in device code too: nvcc's --expt-relaxed-constexpr.
  constexpr int TokensOf(int grains) const {
    const uint32_t before_last = grains > 0 ? static_cast<uint32_t>(grains - 1) : 0;
    return static_cast<int>(grains_of_unit_.Quotient(before_last) + 1) * kShareUnit;
  }

 private:
  int num_shares_ = 0;
  Divisor grains_of_unit_;  // that make every share a unit larger
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_SHARE_PLAN_H_
