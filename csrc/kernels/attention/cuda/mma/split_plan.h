// How the tokens of a sequence are split among clusters and CTAs.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_SPLIT_PLAN_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_SPLIT_PLAN_H_

#include <cstdint>

namespace stablekv {

// A sequence is cut into splits of `split_tokens` tokens, its last one shorter. Each is the work of
// one cluster of CTAs, which share it evenly and combine their results through distributed shared
// memory. The results of several splits meet in the scratch of paged_attention_v2.
struct SplitPlan {
  int cluster_size;      // CTAs: 1, 2, 4, 8 or 16
  int num_splits;        // of the longest sequence
  int64_t split_tokens;  // a multiple of kMmaMostStepTokens; of kPartitionSize if there are several
  bool longest_first;  // longer sequences come first; else all come in the order they are given in
  bool short_rings;    // less is on its way than fits into shared memory. Not before sm_90
};

// What a plan is made for.
struct SplitWork {
  int64_t num_seqs;
  int64_t items;            // sequences * kv heads * tiles of query heads
  bool reads_once;          // one tile of query heads for each kv head
  int64_t max_seq_len;      // tokens
  int64_t bytes_per_token;  // of keys and values of one kv head
  bool has_scratch;         // more than one split is possible
  int num_processors;       // multiprocessors of the device
  int64_t bandwidth;        // of its memory, bytes a microsecond; 0: not known
  bool has_clusters;        // the code is for sm_90 or later
};

SplitPlan PlanSplits(const SplitWork& work);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_SPLIT_PLAN_H_
