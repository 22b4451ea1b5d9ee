// Brings the cache blocks that attention will read soon nearer to the core.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_FETCH_CPU_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_FETCH_CPU_H_

#include <cstdint>

namespace stablekv {

// Fetches `count` blocks, a few cache lines at a time between the arithmetic on others. A template
// over the vector unit as all of its code is, so that the units share no symbol.
template <class Vec>
class AttentionFetch {
 public:
  AttentionFetch(const uint8_t* const* blocks, int64_t count, int64_t block_bytes)
      : blocks_(blocks), blocks_left_(count), block_bytes_(block_bytes) {
    // Here the look-up of one page's address overlaps the next one's. Met one by one later, each
    // would stop the arithmetic: this alone is worth a third of the time.
    for (int64_t i = 0; i < count; ++i) {
      for (int64_t page = 0; page < block_bytes; page += 4096) Fetch(blocks[i] + page);
    }
    NextBlock();
  }

  template <int64_t kBytes>
  void Step() {
    if (bytes_left_ <= 0) return;
#pragma GCC unroll 16
    for (int64_t line = 0; line < kBytes; line += 64) Fetch(at_ + line);
    at_ += kBytes;
    bytes_left_ -= kBytes;
    if (bytes_left_ <= 0) NextBlock();
  }

 private:
  static void Fetch(const uint8_t* from) { __builtin_prefetch(from, 0, 2); }

  void NextBlock() {
    if (blocks_left_ == 0) return;
    at_ = *blocks_++;
    bytes_left_ = block_bytes_;
    --blocks_left_;
  }

  const uint8_t* const* blocks_;  // those not begun
  int64_t blocks_left_;
  int64_t block_bytes_;
  const uint8_t* at_ = nullptr;
  int64_t bytes_left_ = 0;  // of the block begun
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_FETCH_CPU_H_
