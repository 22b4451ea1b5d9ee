// Brings the cache blocks that attention with AMX will read soon nearer to the core.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_FETCH_AMX_CPU_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_FETCH_AMX_CPU_H_

#include <cstdint>

namespace stablekv {

// Fetches `count` blocks into the core's caches, a few cache lines at a time between the arithmetic
// on others. Four blocks at once: the core follows several streams at more of the memory's speed
// than one. Of blocks shorter than a page 16 at once. A pass of AMX goes over what is fetched in no
// order that a core would follow, so that all of it is asked for, long before, for the second
// level: all caches were no better.
template <int64_t kStreams>
class AttentionFetchAmx {
 public:
  AttentionFetchAmx(const uint8_t* const* blocks, int64_t count, int64_t block_bytes)
      : blocks_(blocks), blocks_left_(count), block_bytes_(block_bytes) {
    NextBlocks();
  }

  // Another kBytes of them.
  template <int64_t kBytes>
  void Step() {
    due_ += kBytes;
#pragma GCC unroll 8
    for (int64_t i = 0; i < kBytes; i += kTurn) {
      if (due_ <= 0) return;
      due_ -= kTurn;
      const int64_t at = block_bytes_ - bytes_left_;
      const uint8_t* const* const streams = streams_ + (kTurns > 1 ? turn_ * kTurnStreams : 0);
#pragma GCC unroll 4
      for (int64_t stream = 0; stream < kTurnStreams; ++stream) {
        Fetch(streams[stream] + at);
        if constexpr (kRun == 2) Fetch(streams[stream] + (bytes_left_ > 64 ? at + 64 : at));
      }
      if constexpr (kTurns > 1) {
        if (++turn_ < kTurns) continue;
        turn_ = 0;
      }
      bytes_left_ -= kRun * 64;
      if (bytes_left_ <= 0) NextBlocks();
    }
  }

  // All that is left.
  void Finish() {
    while (due_ >= -kTurn) Step<kTurn>();
  }

 private:
  // Four cache lines are fetched in one turn: of each stream, or two of every other.
  static constexpr int64_t kRun = kStreams > 4 ? 2 : 1;
  static constexpr int64_t kTurnStreams = 4 / kRun;
  static constexpr int64_t kTurns = kStreams / kTurnStreams;
  static constexpr int64_t kTurn = 256;
  static constexpr int64_t kPage = 4096;

  static void Fetch(const uint8_t* from) { __builtin_prefetch(from, 0, 2); }

  void NextBlocks() {
    if (blocks_left_ <= 0) {
      due_ = INT64_MIN / 2;  // never again
      return;
    }
    const uint8_t* block = nullptr;
    for (int64_t i = 0; i < kStreams; ++i) {
      if (i < blocks_left_) block = blocks_[i];
      streams_[i] = block;
    }
    blocks_ += kStreams;
    blocks_left_ -= kStreams;
    bytes_left_ = block_bytes_;
    // Look the next pages' addresses up meanwhile. Met one by one when they are due, or all of a
    // tile at once, they would stop the arithmetic.
    for (int64_t i = 0; i < kStreams && i < blocks_left_; ++i) {
      for (int64_t page = 0; page < block_bytes_; page += kPage) Fetch(blocks_[i] + page);
    }
  }

  const uint8_t* const* blocks_;  // those not begun
  int64_t blocks_left_;
  int64_t block_bytes_;
  const uint8_t* streams_[kStreams] = {};  // the blocks begun
  int64_t bytes_left_ = 0;                 // of each of them
  int64_t turn_ = 0;                       // which of the streams are next
  int64_t due_ = 0;                        // bytes that are asked for and not fetched yet
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_FETCH_AMX_CPU_H_
