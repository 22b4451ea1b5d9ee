// Equal shares of all tokens of a batch, whose lengths are known to the device alone.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_TOKEN_SHARES_CUH_
#define STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_TOKEN_SHARES_CUH_

#include <cstdint>

#include "csrc/kernels/attention/cuda/share_plan.h"
#include "csrc/kernels/attention/paged_attention.h"

namespace stablekv {

// A share: `tokens` tokens of a sequence from `begin` on, or as many as there are.
struct TokenShare {
  int sequence;  // -1: there are not so many shares
  int begin;
  int tokens;
  int row;  // of the scratch
};

// The tokens of all sequences, cut into `num_shares` pieces of one size, give that size. Each
// sequence is cut into full shares of it and a last one of what is left. Shares are numbered: full
// ones first, so that what ends alone is short, then the last ones. Rows of the scratch: those of
// full shares are their numbers, that of a last share is num_shares + its sequence.
//
// Each warp works this out by itself and without waiting for others: lane l has the sequences l,
// l + 32, ... Most loops over them are not unrolled: kernels begin with this code, and wait for it
// to be fetched.
class TokenShares {
 public:
  __device__ __forceinline__ TokenShares(int num_shares, const int32_t* seq_lens, int num_seqs,
                                         int max_seq_len, int lane)
      : num_shares_(num_shares),
        seq_lens_(seq_lens),
        num_seqs_(num_seqs),
        max_seq_len_(max_seq_len),
        lane_(lane) {
    int grains = 0;
#pragma unroll
    for (int k = 0; k < kMostSharing / 32; ++k) {
      const int s = 32 * k + lane;
      if (s < num_seqs) grains += (Length(s) + kShareGrain - 1) / kShareGrain;
    }
    grains = __reduce_add_sync(kAllLanes, grains);
    const int of_unit = num_shares * (kShareUnit / kShareGrain);
    tokens_ = max(1, (grains + of_unit - 1) / of_unit) * kShareUnit;
    inverse_ = 1.0f / static_cast<float>(tokens_);
    const int full = FullOfLane(num_seqs);
    past_ = full;
#pragma unroll
    for (int distance = 1; distance < 32; distance *= 2) {
      const int before = __shfl_up_sync(kAllLanes, past_, distance);
      if (lane >= distance) past_ += before;
    }
    first_ = past_ - full;
  }

  // The share with this number.
  __device__ __forceinline__ TokenShare Of(unsigned number) const {
    const int place = static_cast<int>(number) - __shfl_sync(kAllLanes, past_, 31);
    if (place < 0) return OfFull(static_cast<int>(number));
    if (place >= num_seqs_) return {-1, 0, 0, 0};
    const int sequence = SequenceOfPlace(place);
    return {sequence, FullShares(Length(sequence)) * tokens_, tokens_, num_shares_ + sequence};
  }

  // The full shares of `sequence`, the first one's number and how many there are.
  __device__ __forceinline__ int2 FullOf(int sequence) const {
    const int first = first_ + FullOfLane(sequence);
    return {__shfl_sync(kAllLanes, first, sequence % 32), FullShares(Length(sequence))};
  }

 private:
  static constexpr unsigned kAllLanes = 0xffffffffu;

  __device__ __forceinline__ int Length(int sequence) const {
    return AttendedLength(seq_lens_[sequence], max_seq_len_);
  }

  // Those before the last share, which is never empty unless the sequence is.
  __device__ __forceinline__ int FullShares(int length) const {
    const int last_token = max(length - 1, 0);
    int count = static_cast<int>(static_cast<float>(last_token) * inverse_);  // off by one at most
    if (count * tokens_ > last_token) --count;
    if ((count + 1) * tokens_ <= last_token) ++count;
    return count;
  }

  // Of the lane's sequences before `end`.
  __device__ __forceinline__ int FullOfLane(int end) const {
    int full = 0;
#pragma unroll 1
    for (int s = lane_; s < end; s += 32) full += FullShares(Length(s));
    return full;
  }

  __device__ __forceinline__ TokenShare OfFull(int number) const {
    const int owner = __ffs(__ballot_sync(kAllLanes, number < past_)) - 1;
    int rest = __shfl_sync(kAllLanes, number - first_, owner);
    int sequence = owner;
#pragma unroll 1
    for (; sequence + 32 < num_seqs_; sequence += 32) {
      const int full = FullShares(Length(sequence));
      if (rest < full) break;
      rest -= full;
    }
    return {sequence, rest * tokens_, tokens_, number};
  }

  // Last shares come by quarters of a full one, longer ones first: there are fewer that begin late
  // and take long.
  __device__ __forceinline__ int SequenceOfPlace(int place) const {
#pragma unroll 1
    for (int quarter = 3; quarter >= 0; --quarter) {
#pragma unroll 1
      for (int first = 0; first < num_seqs_; first += 32) {
        const unsigned lanes = __ballot_sync(kAllLanes, QuarterOf(first + lane_) == quarter);
        const int count = __popc(lanes);
        if (place < count) {
          // The lane that so many others of these come before.
          const bool here =
              (lanes >> lane_ & 1) != 0 && __popc(lanes & ((1u << lane_) - 1)) == place;
          return first + __ffs(__ballot_sync(kAllLanes, here)) - 1;
        }
        place -= count;
      }
    }
    return 0;  // not reached
  }

  // Of a full share, that the last share of `sequence` goes into; -1 past the last sequence.
  __device__ __forceinline__ int QuarterOf(int sequence) const {
    if (sequence >= num_seqs_) return -1;
    const int length = Length(sequence);
    const int left = length - FullShares(length) * tokens_;
    return max(0, (left - 1) / (tokens_ / 4));
  }

  int num_shares_;
  const int32_t* seq_lens_;
  int num_seqs_;
  int max_seq_len_;
  int lane_;
  int tokens_;     // of a full share
  float inverse_;  // of tokens_
  int first_;      // full shares of the lanes before
  int past_;       // of these and of this lane
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_TOKEN_SHARES_CUH_
