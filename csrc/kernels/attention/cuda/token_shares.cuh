// Equal shares of all tokens of a batch, whose lengths are known to the device alone.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_TOKEN_SHARES_CUH_
#define STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_TOKEN_SHARES_CUH_

#include <cstdint>

#include "csrc/kernels/attention/cuda/share_plan.h"
#include "csrc/kernels/attention/paged_attention.h"
#include "csrc/kernels/common/cuda/overlap.cuh"
#include "csrc/kernels/common/cuda/warp.cuh"

namespace stablekv {

// A share: `tokens` tokens of a sequence from `begin` on, or as many as there are.
struct TokenShare {
  int sequence;  // -1: there are not so many shares
  int begin;
  int tokens;
  int row;  // of the scratch
};

// The lengths of a batch of at most kMostSharing sequences, in the registers of a warp.
struct LaneLengths {
  static constexpr int kCount = kMostSharing / 32;

  // Of sequences l, l + 32, .. in lane l, as they are in memory; 0 past the last one.
  int of[kCount];

  // Does not wait for them.
  __device__ __forceinline__ void Fetch(const PagedAttentionParams& params, int lane) {
    const int num_seqs = static_cast<int>(params.num_seqs);
#pragma unroll
    for (int k = 0; k < kCount; ++k) {
      of[k] = 0;
      if (32 * k >= num_seqs) continue;
      const int sequence = 32 * k + lane;
      if (sequence < num_seqs) of[k] = LoadUncached(params.seq_lens + sequence);
    }
  }

  // Of the lane's.
  __device__ __forceinline__ bool operator!=(const LaneLengths& other) const {
    bool differ = false;
#pragma unroll
    for (int k = 0; k < kCount; ++k) differ |= of[k] != other.of[k];
    return differ;
  }
};

// A full share is the tokens of all sequences by the number of shares, rounded up, or less if there
// is room for more shares (ShareSize). Each sequence is cut into full shares and a last one of what
// is left. Shares are numbered: full ones first, so that what ends alone is short, then the last
// ones. Rows of the scratch: those of full shares are their numbers, that of a last share is
// num_shares + its sequence.
//
// Each warp works this out by itself, from registers. Its first tile waits for it.
class TokenShares {
 public:
  __device__ __forceinline__ TokenShares(const ShareSize& size, const LaneLengths& fetched,
                                         int num_seqs, int max_seq_len, int lane)
      : num_shares_(size.num_shares()), lengths_(fetched), num_seqs_(num_seqs), lane_(lane) {
    int grains = 0;
#pragma unroll
    for (int k = 0; k < kSlots; ++k) {
      if (32 * k >= num_seqs) continue;
      lengths_.of[k] = AttendedLength(lengths_.of[k], max_seq_len);
      grains += (lengths_.of[k] + kShareGrain - 1) / kShareGrain;
    }
    tokens_ = size.TokensOf(__reduce_add_sync(kFullWarp, grains));
    if (size.fills()) FillShares();
    past_ = CutSequences(tokens_);
    const int own = past_;
#pragma unroll
    for (int distance = 1; distance < 32; distance *= 2) {
      const int before = __shfl_up_sync(kFullWarp, past_, distance);
      if (lane >= distance) past_ += before;
    }
    first_ = past_ - own;
  }

  // The share with this number.
  __device__ __forceinline__ TokenShare Of(int number) const {
    const int place = number - __shfl_sync(kFullWarp, past_, 31);
    return place < 0           ? OfFull(number)
           : place < num_seqs_ ? OfPlace(place)
                               : TokenShare{-1, 0, 0, 0};
  }

  // The full shares of `sequence`, the first one's number and how many there are.
  __device__ __forceinline__ int2 FullOf(int sequence) const {
    int first = first_;
    int count = 0;
#pragma unroll
    for (int k = 0; k < kSlots; ++k) {
      if (32 * k + lane_ < sequence) first += full_[k];
      if (32 * k + lane_ == sequence) count += full_[k];
    }
    return {__shfl_sync(kFullWarp, first, sequence % 32),
            __shfl_sync(kFullWarp, count, sequence % 32)};
  }

 private:
  static constexpr int kSlots = LaneLengths::kCount;

  // Makes shares as small as their number allows.
  __device__ __forceinline__ void FillShares() {
    for (;;) {
      const int smaller = ShareSize::Smaller(tokens_);
      if (smaller < kFewestFilledTokens ||
          __reduce_add_sync(kFullWarp, CutSequences(smaller)) > num_shares_) {
        return;
      }
      tokens_ = smaller;
    }
  }

  // Into full shares of so many tokens and last ones. Returns how many full ones the lane's have.
  __device__ __forceinline__ int CutSequences(int tokens) {
    const float inverse = __fdividef(1.0f, static_cast<float>(tokens));
    int all = 0;
#pragma unroll
    for (int k = 0; k < kSlots; ++k) {
      full_[k] = 0;
      if (32 * k >= num_seqs_) continue;
      full_[k] = FullShares(lengths_.of[k], tokens, inverse);
      all += full_[k];
    }
    return all;
  }

  // Those before the last share, which is never empty unless the sequence is.
  static __device__ __forceinline__ int FullShares(int length, int tokens, float inverse) {
    const int last_token = max(length - 1, 0);
    const int count = static_cast<int>(static_cast<float>(last_token) * inverse);
    const int left = last_token - count * tokens;
    return count + (left >= tokens) - (left < 0);  // it is off by one at most
  }

  // Of a full share, that `left` tokens go into.
  __device__ __forceinline__ int QuarterOf(int left) const {
    const int quarter = tokens_ / 4;
    return (left > quarter) + (left > 2 * quarter) + (left > 3 * quarter);
  }

  __device__ __forceinline__ TokenShare OfFull(int number) const {
    const int owner = __ffs(__ballot_sync(kFullWarp, number < past_)) - 1;
    int rest = number - first_;  // in the owner, among the shares of its sequences
    int sequence = lane_;
    bool found = false;
#pragma unroll
    for (int k = 0; k < kSlots; ++k) {
      if (32 * k >= num_seqs_) break;
      found |= rest < full_[k];
      if (!found) {
        rest -= full_[k];
        sequence += 32;
      }
    }
    return {__shfl_sync(kFullWarp, sequence, owner), __shfl_sync(kFullWarp, rest, owner) * tokens_,
            tokens_, number};
  }

  // Last shares come by quarters of a full one, longer ones first: there are fewer that begin late
  // and take long.
  __device__ __forceinline__ TokenShare OfPlace(int place) const {
    int quarters[kSlots];
#pragma unroll
    for (int k = 0; k < kSlots; ++k) {
      quarters[k] = -1;
      if (32 * k >= num_seqs_) continue;
      const int left = lengths_.of[k] - full_[k] * tokens_;
      if (32 * k + lane_ < num_seqs_) quarters[k] = QuarterOf(left);
    }
    int sequence = -1;
    int begin = 0;
#pragma unroll 1
    for (int quarter = 3; quarter >= 0; --quarter) {
#pragma unroll
      for (int k = 0; k < kSlots; ++k) {
        if (32 * k >= num_seqs_) break;
        const bool is_of_quarter = quarters[k] == quarter;
        const unsigned lanes = __ballot_sync(kFullWarp, is_of_quarter);
        // The lane that so many others of these come before.
        if (is_of_quarter && __popc(lanes & ((1u << lane_) - 1)) == place) {
          sequence = 32 * k + lane_;
          begin = full_[k] * tokens_;
        }
        place -= __popc(lanes);
      }
    }
    const int owner = __ffs(__ballot_sync(kFullWarp, sequence >= 0)) - 1;
    sequence = __shfl_sync(kFullWarp, sequence, owner);
    return {sequence, __shfl_sync(kFullWarp, begin, owner), tokens_, num_shares_ + sequence};
  }

  int num_shares_;
  LaneLengths lengths_;
  int num_seqs_;
  int lane_;
  int tokens_;        // of a full share
  int full_[kSlots];  // shares of the lane's sequences
  int first_;         // full shares of the lanes before
  int past_;          // of these and of this lane
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_TOKEN_SHARES_CUH_
