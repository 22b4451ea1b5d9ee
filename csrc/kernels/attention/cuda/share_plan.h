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

// Shares that are made smaller have as many tokens, at least: what shorter ones wait for is not the
// memory.
inline constexpr int kFewestFilledTokens = 1024;

// The longest sequence whose tokens are shared out: its length is a float without rounding.
inline constexpr int kLongestShared = 1 << 24;

// Into how many shares a batch is cut, and how large they are.
class ShareSize {
 public:
  ShareSize() = default;  // not into shares
  // With `fills`, they are made smaller as long as there are no more than num_shares, the last ones
  // of the sequences not counted.
  ShareSize(int num_shares, bool fills)
      : num_shares_(num_shares),
        fills_(fills),
        grains_of_unit_(static_cast<uint32_t>(num_shares) * (kShareUnit / kShareGrain)) {}

  constexpr int num_shares() const { return num_shares_; }
  constexpr bool fills() const { return fills_; }

  // Of all shares but the last of each sequence, for sequences of `grains` * kShareGrain tokens,
  // before they are made smaller.
  // Works in device code too: nvcc's --expt-relaxed-constexpr.
  constexpr int TokensOf(int grains) const {
    const uint32_t before_last = grains > 0 ? static_cast<uint32_t>(grains - 1) : 0;
    return static_cast<int>(grains_of_unit_.Quotient(before_last) + 1) * kShareUnit;
  }

  // The next size to be tried: a 64th less, so that not many are.
  static constexpr int Smaller(int tokens) {
    return tokens - (tokens / 64 / kShareUnit + 1) * kShareUnit;
  }

 private:
  int num_shares_ = 0;
  bool fills_ = false;
  Divisor grains_of_unit_;  // that make every share a unit larger
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_SHARE_PLAN_H_
