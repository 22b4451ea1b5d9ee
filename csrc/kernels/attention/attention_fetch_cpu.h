// Brings the cache blocks that attention will read soon nearer to the core.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_FETCH_CPU_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_FETCH_CPU_H_

#include <cstdint>

namespace stablekv {

// Fetches blocks into the core's caches, four in turn and a few cache lines at a time, between the
// arithmetic on others. What the core cannot queue it drops: the blocks are to be read in the same
// order soon after, so that its own prefetcher brings the rest. Past the last block it goes over
// that one again, which costs less than to ask.
//
// A template over the vector unit as all of its code is, so that the units share no symbol.
template <class Vec>
class AttentionFetch {
 public:
  // Blocks in turn: a core's own prefetcher follows as many well.
  static constexpr int64_t kStreams = 4;

  // There is at least one block.
  AttentionFetch(const uint8_t* const* blocks, int64_t count, int64_t block_bytes)
      : next_(blocks), last_(blocks + count - 1), block_bytes_(block_bytes) {
    NextBlocks();
  }

  // Another kBytes of them, rounded up to what four cache lines are at the end.
  template <int64_t kBytes>
  void Step() {
    if constexpr (kBytes % kTurn != 0) {
      due_ += kBytes % kTurn;
      if (due_ >= kTurn) {
        due_ -= kTurn;
        Turn();
      }
    }
#pragma GCC unroll 8
    for (int64_t i = kTurn; i <= kBytes; i += kTurn) Turn();
  }

 private:
  static constexpr int64_t kTurn = kStreams * 64;

  void Turn() {
#pragma GCC unroll 4
    for (int64_t i = 0; i < kStreams; ++i) __builtin_prefetch(streams_[i] + at_, 0, 3);
    at_ += 64;
    if (at_ >= block_bytes_) NextBlocks();
  }

  void NextBlocks() {
    at_ = 0;
    for (int64_t i = 0; i < kStreams; ++i) {
      streams_[i] = *next_;
      if (next_ < last_) ++next_;
    }
  }

  const uint8_t* const* next_;  // of those not begun
  const uint8_t* const* last_;
  int64_t block_bytes_;
  const uint8_t* streams_[kStreams];  // the blocks begun
  int64_t at_ = 0;                    // how far in each of them
  int64_t due_ = 0;                   // bytes that are asked for and not fetched yet
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_FETCH_CPU_H_
