// Which tokens and heads a cluster, a CTA and a warp of the tensor-core kernel take.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_MMA_ITEM_CUH_
#define STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_MMA_ITEM_CUH_

#include <cstdint>

#include "csrc/kernels/attention/cuda/mma/mma_args.h"

namespace stablekv {

// The work item of a cluster, as far as it does not depend on the length of the sequence.
struct MmaItem {
  int64_t sequence;
  int64_t kv_head;
  int64_t first_head;  // query head
  int64_t split;
  int num_heads;  // of the tile

  __device__ __forceinline__ MmaItem(const MmaDecodeArgs& args, unsigned index) {
    const unsigned tile = index % static_cast<unsigned>(args.num_tiles);
    index /= static_cast<unsigned>(args.num_tiles);
    const unsigned num_kv_heads = static_cast<unsigned>(args.params.num_kv_heads);
    kv_head = index % num_kv_heads;
    index /= num_kv_heads;
    // All first splits, then all second ones: those that there may be nothing for come last.
    sequence = index % static_cast<unsigned>(args.params.num_seqs);
    split = index / static_cast<unsigned>(args.params.num_seqs);
    const int first_in_group = static_cast<int>(tile) * args.heads_per_tile;
    first_head = kv_head * args.group_size + first_in_group;
    num_heads = min(args.heads_per_tile, args.group_size - first_in_group);
  }

  __device__ __forceinline__ int64_t Begin(const SplitPlan& plan) const {
    return split * plan.split_tokens;
  }
};

// The tokens of an item: [begin, end) of a sequence of `length`.
struct ItemTokens {
  int64_t length;
  int64_t begin;
  int64_t end;

  bool whole;  // all tokens of the sequence: needs no scratch

  __device__ __forceinline__ ItemTokens(const MmaDecodeArgs& args, const MmaItem& item,
                                        int seq_len) {
    length = max(int64_t{0}, min(static_cast<int64_t>(seq_len), args.params.max_seq_len));
    whole = length <= args.plan.split_tokens;
    begin = min(item.Begin(args.plan), length);
    end = min(begin + args.plan.split_tokens, length);
  }
};

// The steps of a warp: first, first + stride, .. so that where they begin does not depend on the
// length, whose load need not be waited for.
struct WarpSteps {
  int first;   // of the sequence
  int stride;  // warps that share the item
  int count;

  template <typename Shape>
  static __device__ __forceinline__ WarpSteps Of(const MmaDecodeArgs& args, const MmaItem& item,
                                                 int part) {
    WarpSteps steps;
    steps.first = static_cast<int>(item.Begin(args.plan) >> Shape::kLogStepTokens) + part;
    steps.stride = args.plan.cluster_size * Shape::kWarps;
    steps.count = 0;
    return steps;
  }
  template <typename Shape>
  __device__ __forceinline__ void SetCount(const ItemTokens& tokens) {
    const int past =
        static_cast<int>((tokens.end + Shape::kStepTokens - 1) >> Shape::kLogStepTokens);
    count = past <= first || tokens.begin == tokens.end ? 0 : (past - first - 1) / stride + 1;
  }
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_MMA_ITEM_CUH_
