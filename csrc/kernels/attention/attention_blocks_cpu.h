// Where the queries and the blocks of a pass lie, and what tokens the blocks hold.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_BLOCKS_CPU_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_BLOCKS_CPU_H_

#include <cstdint>

#include "csrc/kernels/attention/attention_pass_cpu.h"
#include "csrc/kernels/attention/attention_plan_cpu.h"

namespace stablekv {

// A template over the vector unit as all of its code is, so that the units share no symbol.
template <class Vec>
struct AttentionBlocks {
  static void FindKeys(const AttentionPlan& plan, const BlockList& blocks, const uint8_t** found) {
    const PagedAttentionParams& params = plan.params;
    Find(plan.cache_bytes, blocks, params.key_cache, params.key_cache_block_stride,
         params.key_cache_head_stride, found);
  }

  static void FindValues(const AttentionPlan& plan, const BlockList& blocks,
                         const uint8_t** found) {
    const PagedAttentionParams& params = plan.params;
    Find(plan.cache_bytes, blocks, params.value_cache, params.value_cache_block_stride,
         params.value_cache_head_stride, found);
  }

  static const uint8_t* FindQuery(const AttentionPlan& plan, int64_t seq, int64_t head) {
    const PagedAttentionParams& params = plan.params;
    return static_cast<const uint8_t*>(params.query) +
           (seq * params.query_seq_stride + head * params.query_head_stride) * plan.element_bytes;
  }

  // Of each token its distance from the newest one, which is 0; negative before. Returns the end.
  static float* FindPositions(int64_t length, int64_t block_size, const BlockList& blocks,
                              float* to) {
    for (int64_t i = 0; i < blocks.count; ++i) {
      const int64_t first = blocks.places[i] * block_size - (length - 1);
      for (int64_t token = 0; token < block_size; ++token)
        *to++ = static_cast<float>(first + token);
    }
    return to;
  }

  // The first `kept_bytes` bytes of each row of kRowBytes, and zeros in place of the rest: a weight
  // of 0 would not hide a NaN that stands there.
  template <int64_t kRowBytes>
  static void CopyRowStarts(const uint8_t* from, int64_t rows, int64_t kept_bytes, uint8_t* to) {
    for (int64_t row = 0; row < rows * kRowBytes; row += kRowBytes) {
      for (int64_t i = 0; i < kRowBytes; ++i) to[row + i] = i < kept_bytes ? from[row + i] : 0;
    }
  }

 private:
  static void Find(int64_t cache_bytes, const BlockList& blocks, const void* cache,
                   int64_t block_stride, int64_t head_stride, const uint8_t** found) {
    const uint8_t* const head =
        static_cast<const uint8_t*>(cache) + blocks.kv_head * head_stride * cache_bytes;
    for (int64_t i = 0; i < blocks.count; ++i) {
      found[i] = head + blocks.table[blocks.places[i]] * block_stride * cache_bytes;
    }
  }
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_BLOCKS_CPU_H_
