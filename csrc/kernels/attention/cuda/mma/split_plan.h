// How the tokens of a sequence are split among clusters and CTAs.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_SPLIT_PLAN_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_SPLIT_PLAN_H_

#include <cstdint>

#include "csrc/kernels/common/divide.h"

namespace stablekv {

// A sequence is cut into splits (length_splits.h). Each is the work of one cluster of CTAs, which
// share it evenly and combine their results through distributed shared memory. The results of
// several splits, or shares, meet in the scratch.
struct SplitPlan {
  int cluster_size;    // CTAs: 1, 2, 4, 8 or 16
  int num_splits;      // of each sequence; a short one has fewer
  bool longest_first;  // longer sequences come first; else all come in the order they are given in
  bool short_rings;    // less is on its way than fits into shared memory. Not before sm_90
  // A CTA of a cluster of one takes 1 << log_items_per_cta items, with as many of its warps each.
  int log_items_per_cta;
  // If not 0, the device cuts the sequences into about as many shares (token_shares.cuh) instead of
  // splits.
  int num_shares;
  bool fills_shares;  // they are as small as their number allows
  // A CTA has a multiprocessor to itself. Without, those of the next call would come while these
  // end and are reduced, two to the first multiprocessors that have room.
  bool alone;
  unsigned ctas_at_once;  // so many run at first
};

// What a plan is made for.
struct SplitWork {
  int64_t num_seqs;
  int64_t items;            // sequences * kv heads * tiles of query heads
  bool reads_once;          // one tile of query heads for each kv head
  int64_t max_seq_len;      // tokens
  int64_t bytes_per_token;  // of keys and values of one kv head
  bool fp8;                 // of the caches
  bool has_scratch;         // more than one split is possible
  int cta_warps;            // of the kernel
  int64_t cta_tokens;       // that give each of these warps a step
  int num_processors;       // multiprocessors of the device
  int64_t bandwidth;        // of its memory, bytes a microsecond; 0: not known
  bool has_clusters;        // sm_90 or later, with kSharedBytesOfClusters
};

SplitPlan PlanSplits(const SplitWork& work);

// Sets what follows from how the work is cut: `alone` and `ctas_at_once`.
void SetRoom(const SplitWork& work, SplitPlan* plan);

// Tokens of a split of one cluster, at least: each warp has a step, and the results of less are not
// worth being put together.
constexpr int64_t FewestSplitTokens(int cluster_size, int64_t cta_tokens) {
  return cluster_size * cta_tokens < 256 ? 256 : cluster_size * cta_tokens;
}

// Whether results of parts of sequences go to the scratch, to be combined by a second kernel.
inline bool HasReduction(const SplitPlan& plan) {
  return plan.num_splits > 1 || plan.num_shares > 0;
}

// Rows of the scratch that the plan takes for each query head of a sequence.
inline int64_t RowsOf(const SplitPlan& plan, int64_t num_seqs) {
  return plan.num_shares == 0 ? plan.num_splits : 1 + CeilDivide(plan.num_shares, num_seqs);
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_SPLIT_PLAN_H_
