// What the vector units' attention code is told: the operator's parameters, cut into work items.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_PLAN_CPU_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_PLAN_CPU_H_

#include <cstdint>

#include "csrc/kernels/attention/paged_attention.h"
#include "csrc/kernels/common/vec_format.h"

namespace stablekv {

inline constexpr int64_t kMaxHeadSize = 256;
inline constexpr int64_t kMostItemTokens = 1024;
inline constexpr int64_t kMostItemBlocks = kMostItemTokens / 8;
// Floats from one head's weights to the next's: no power of two, so that they are in different sets
// of the caches, and room for the last step.
inline constexpr int64_t kWeightPitch = kMostItemTokens + 32;
// What bounds the stack that a pass takes: the rows of its kv heads, and their elements.
inline constexpr int64_t kPassRows = 32;
inline constexpr int64_t kPassElements = kPassRows * 128;
inline constexpr int64_t kPassHeads = kPassElements / kMaxHeadSize;  // of one kv head

// An item is one partition of ItemTokens() tokens of one kv head of one sequence. The items of
// sequence s are [first_items[s], first_items[s + 1]), the kv heads of a partition next to each
// other: a page table's cache line that was met for one is there for the next.
//
// A sequence of one partition writes its output at once. A longer one leaves partial results, for
// item i and head g of its group: the largest logit m, sum(exp(logit - m)), sum(exp(logit - m) *
// v).
struct AttentionPlan {
  PagedAttentionParams params;
  VecFormat cache_format;
  VecFormat element_format;
  int64_t cache_bytes;    // of a cache element
  int64_t element_bytes;  // of a query and output element
  int64_t group;          // query heads of a kv head
  float k_scale;          // 1 when the cache is not fp8
  float v_scale;
  int64_t run_heads;  // kv heads that are worked on at a time, at most
  bool pairs;         // keys and queries are multiplied as pairs of bfloat16, where there is code
  bool sparse;
  bool sparse_by_head;         // heads of a group may attend to different blocks
  const int64_t* first_items;  // [num_seqs + 1]
  int64_t first_partial_item;  // the item whose partial results come first in the next three
  float* partial_max;          // [items, group]
  float* partial_sum;          // [items, group]
  float* partial_out;          // [items, group, head_size]
};

// One set per vector unit: items [begin, end); then, when all items are done, the combination of
// rows [begin, end) of the num_seqs * num_heads rows of the output.
struct AttentionFunctions {
  void (*run_items)(const AttentionPlan& plan, int64_t begin, int64_t end);
  void (*combine_rows)(const AttentionPlan& plan, int64_t begin, int64_t end);
  bool pairs = false;  // AttentionPlan's, for bfloat16 queries
};

extern const AttentionFunctions kAttentionPortable;
extern const AttentionFunctions kAttentionAvx2;
extern const AttentionFunctions kAttentionAvx512;
extern const AttentionFunctions kAttentionAvx512Vbmi;
extern const AttentionFunctions kAttentionAvx512Bf16;
extern const AttentionFunctions kAttentionAmx;

// `static`, and no method of a params struct: the vector units' files, each compiled for its own
// machine, must not share the symbol of a function.

// Tokens of an item of a sequence of `length`. Longer items read their queries and write their
// results less often, and shorter ones leave no core without work. By the sequence alone, so that
// its result does not depend on the batch.
static inline int64_t ItemTokens(int64_t length) {
  return length > 2 * kMostItemTokens ? kMostItemTokens : kMostItemTokens / 2;
}

static inline int64_t NumPartitions(const AttentionPlan& plan, int64_t seq) {
  const int64_t length = plan.params.seq_lens[seq];
  const int64_t tokens = ItemTokens(length);
  return (length + tokens - 1) / tokens;
}

// Rows of a kv head in a pass: its query heads, and one more where a tile has padding.
static inline int64_t RowsOf(int64_t heads) { return heads == 1 ? 1 : heads + heads % 2; }

// Whether `head` attends to the cache block that holds tokens [block * block_size, ...).
static inline bool AttendsTo(const AttentionPlan& plan, int64_t seq, int64_t head, int64_t block) {
  if (!plan.sparse) return true;
  const BlockSparseParams& sparse = plan.params.block_sparse;
  const int64_t key_block = block * plan.params.block_size / sparse.block_size;
  const int64_t query_block = (plan.params.seq_lens[seq] - 1) / sparse.block_size;
  const int64_t step = sparse.head_sliding_step;
  const int64_t offset =
      step >= 0 ? (sparse.tp_rank * plan.params.num_heads + head) * step + 1
                : (sparse.tp_rank * plan.params.num_kv_heads + head / plan.group) * -step + 1;
  return (key_block + offset) % sparse.vert_stride == 0 ||
         key_block > query_block - sparse.local_blocks;
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_PLAN_CPU_H_
