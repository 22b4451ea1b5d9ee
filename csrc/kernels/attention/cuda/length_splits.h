// How a sequence is cut into splits of one size: by its own length, which the device knows, not by
// the longest one that a call allows.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_LENGTH_SPLITS_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_LENGTH_SPLITS_H_

#include <cstdint>

#include "csrc/kernels/common/divide.h"
#include "csrc/kernels/common/divisor.h"

namespace stablekv {

// Splits have a multiple of this many tokens.
inline constexpr int64_t kSplitUnit = 64;

// Tokens of each split of a sequence that has `even` tokens for each that there may be.
constexpr int64_t SplitTokens(int64_t even, int64_t fewest) {
  const int64_t tokens = CeilDivide(even, kSplitUnit) * kSplitUnit;
  return tokens < fewest ? fewest : tokens;
}

// Works in device code too: nvcc's --expt-relaxed-constexpr.
class LengthSplits {
 public:
  LengthSplits() = default;
  // Into `most` splits; into fewer if these had less than `fewest` tokens, a multiple of
  // kSplitUnit.
  LengthSplits(int64_t most, int64_t fewest)
      : most_(static_cast<uint32_t>(most)), fewest_(fewest) {}

  // Tokens of each split of a sequence of `length`, 0 to 2^31 - 1; the last one has what is left.
  constexpr int64_t TokensOf(int64_t length) const {
    const uint32_t before_last = length > 0 ? static_cast<uint32_t>(length - 1) : 0;
    return SplitTokens(int64_t{most_.Quotient(before_last)} + 1, fewest_);
  }

  constexpr int64_t CountOf(int64_t length) const { return CeilDivide(length, TokensOf(length)); }

 private:
  Divisor most_;
  int64_t fewest_ = kSplitUnit;
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_LENGTH_SPLITS_H_
