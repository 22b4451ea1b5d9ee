// One pass of decode attention on the CPU: some kv heads next to each other, or some query heads of
// one, over one partition's blocks.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_PASS_CPU_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_PASS_CPU_H_

#include <cstdint>

#include "csrc/kernels/attention/attention_plan_cpu.h"
#include "csrc/kernels/common/vec_format.h"

namespace stablekv {

// Blocks to attend to, as places in a sequence's row of the block table; all but the last are full.
struct BlockList {
  const int32_t* table;  // the sequence's row
  int64_t kv_head;       // the first of
  int64_t kv_heads;      // so many
  const int32_t* places;
  int64_t count;
  int64_t last_tokens;  // valid tokens of the last block
};

// Results of a pass; AttentionPlan says what the numbers are.
struct AttentionSums {
  float* out;  // [heads, head_size]
  float* max;  // [heads]
  float* sum;  // [heads]
};

// Defined in files of its own, one for each vector unit, which are compiled once for each format:
// all together are a very long compile.
template <class Vec, VecFormat kFormat>
struct AttentionPass {
  // `heads` query heads of each kv head, the first of which is `head`, of sequence `seq`, over the
  // tokens of `blocks`, of which there is at least one. `next` are the blocks that will be read
  // after these, if any.
  static void Run(const AttentionPlan& plan, int64_t seq, int64_t head, int64_t heads,
                  const BlockList& blocks, const BlockList& next, const AttentionSums& sums);
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_PASS_CPU_H_
