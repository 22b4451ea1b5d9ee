// Brings the cache blocks that attention will read soon nearer to the core.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_FETCH_CPU_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_FETCH_CPU_H_

#include <cstdint>

#include "csrc/kernels/attention/attention_order_cpu.h"

namespace stablekv {

// Fetches groups of blocks into the core's caches, a cache line of each block in turn, between the
// arithmetic on the blocks before. What the core cannot queue it drops: the blocks are to be read
// in the same order soon after, so that its own prefetcher brings the rest.
//
// A template over the vector unit as all of its code is, so that the units share no symbol.
template <class Vec>
class AttentionFetch {
 public:
  // The blocks before are gone over `times` times.
  AttentionFetch(const GroupsAhead& ahead, int64_t times)
      : group_(ahead.group),
        next_(ahead.next),
        at_(ahead.begin),
        end_(ahead.block_bytes),
        turn_bytes_(times * kLines) {}

  // As many as belong to kBytes of those before.
  template <int64_t kBytes>
  [[gnu::always_inline]] void Step() {
    constexpr int64_t kPart = kBytes < kLines ? kBytes : kLines;
    static_assert(kBytes % kPart == 0);
#pragma GCC unroll 8
    for (int64_t i = 0; i < kBytes; i += kPart) {
      due_ += kPart;
      if (due_ < turn_bytes_) continue;
      due_ -= turn_bytes_;
      Turn();
    }
  }

 private:
  static constexpr int64_t kLines = BlockGroup::kBlocks * 64;  // a line of each block

  [[gnu::always_inline]] void Turn() {
#pragma GCC unroll 4
    for (const uint8_t* block : group_.blocks) __builtin_prefetch(block + at_, 0, 3);
    at_ += 64;
    if (at_ >= end_) {
      at_ = 0;
      group_ = next_;
    }
  }

  BlockGroup group_;
  BlockGroup next_;
  int64_t at_;          // how far in each block
  int64_t end_;         // of a block
  int64_t turn_bytes_;  // of those before, for a line of each block
  int64_t due_ = 0;     // of those before, that no line was fetched for yet
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_FETCH_CPU_H_
