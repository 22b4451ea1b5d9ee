// What batches the device can cut into shares (token_shares.cuh), for the host to plan by.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_SHARE_PLAN_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_SHARE_PLAN_H_

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

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_SHARE_PLAN_H_
