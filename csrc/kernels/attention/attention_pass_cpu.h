// One pass of decode attention on the CPU: some heads of one kv head over one partition's blocks.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_PASS_CPU_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_PASS_CPU_H_

#include <cstdint>

#include "csrc/kernels/attention/attention_plan_cpu.h"
#include "csrc/kernels/common/vec_format.h"

namespace stablekv {

inline constexpr int64_t kPassHeads = 16;  // most heads of a pass: bounds the stack

// Blocks to attend to, as places in a sequence's row of the block table; all but the last are full.
struct BlockList {
  const int32_t* table;  // the sequence's row
  int64_t kv_head;
  const int32_t* places;
  int64_t count;
  int64_t last_tokens;  // valid tokens of the last block
};

// Result of a pass; AttentionPlan says what the numbers are.
struct AttentionSums {
  alignas(64) float out[kPassHeads * kMaxHeadSize];  // [heads, head_size]
  float max[kPassHeads];
  float sum[kPassHeads];
};

// Defined in files of its own, one for each vector unit, which are compiled once for each format:
// all together are a very long compile.
template <class Vec, VecFormat kFormat>
struct AttentionPass {
  // Heads [head, head + heads) of sequence `seq` over the tokens of `blocks`, of which there is at
  // least one. `next` are the blocks that will be read after these, if any.
  static void Run(const AttentionPlan& plan, int64_t seq, int64_t head, int64_t heads,
                  const BlockList& blocks, const BlockList& next, AttentionSums* sums);
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_PASS_CPU_H_
