// Which tokens and heads a cluster, a CTA and a warp of the tensor-core kernel take.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_MMA_ITEM_CUH_
#define STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_MMA_ITEM_CUH_

#include <cstdint>

#include "csrc/kernels/attention/cuda/mma/mma_args.h"
#include "csrc/kernels/attention/cuda/token_shares.cuh"

namespace stablekv {

// The same number, which the compiler does not compute a second time where it is used: in the loop
// over the tokens that costs more than a register.
template <typename T>
__device__ __forceinline__ T KeepInRegister(T number) {
  static_assert(sizeof(T) == 4);
  asm volatile("" : "+r"(number));
  return number;
}

// What a warp works on, and with which others.
struct WarpPlace {
  unsigned item;
  int rank;        // of the CTA in its cluster
  int first_warp;  // of the CTA's warps that take the item
  int log_warps;   // of these
  int part;        // of the item: this warp's among those of all CTAs

  template <typename Shape>
  static __device__ __forceinline__ WarpPlace Of(const MmaDecodeArgs& args, int warp) {
    WarpPlace place;
    place.log_warps = Shape::kLogWarps - args.plan.log_items_per_cta;
    place.item = (blockIdx.x >> args.log_cluster_size << args.plan.log_items_per_cta) +
                 static_cast<unsigned>(warp >> place.log_warps);
    place.rank = static_cast<int>(blockIdx.x) & (args.plan.cluster_size - 1);
    place.first_warp = warp >> place.log_warps << place.log_warps;
    place.part = (place.rank << place.log_warps) + warp - place.first_warp;
    return place;
  }
};

// Not inlined: a kernel without shares need not fetch past this code.
static __device__ __noinline__ TokenShare ShareOf(ShareSize size, LaneLengths fetched, int num_seqs,
                                                  int max_seq_len, int number, int lane) {
  return TokenShares(size, fetched, num_seqs, max_seq_len, lane).Of(number);
}

// A work item, as far as it does not depend on the length of the sequence: a share is some place
// until SetShare().
struct MmaItem {
  int sequence;
  int kv_head;
  int first_head;   // query head
  int num_heads;    // of the tile
  int begin;        // token
  int most_tokens;  // from there on
  int row;          // of the scratch: the split, or that of the share; -1: there is no such share
  int share;        // its number

  __device__ __forceinline__ MmaItem(const MmaDecodeArgs& args, unsigned index) {
    const unsigned group = args.tiles.Quotient(index);
    const unsigned part = args.kv_heads.Quotient(group);
    const int first_in_group =
        static_cast<int>(args.tiles.Remainder(index, group)) * args.heads_per_tile;
    kv_head = static_cast<int>(args.kv_heads.Remainder(group, part));
    first_head = kv_head * args.group_size + first_in_group;
    num_heads = min(args.heads_per_tile, args.group_size - first_in_group);
    share = static_cast<int>(part);
    if (args.plan.num_shares == 0) {
      // All first splits, then all second ones: those that there may be nothing for come last.
      const unsigned split = args.seqs.Quotient(part);
      sequence = static_cast<int>(args.seqs.Remainder(part, split));
      row = static_cast<int>(split);
      SetSplit(args.split_tokens);
    } else {
      sequence = 0;
      row = -1;
      begin = 0;
      most_tokens = 0;
    }
  }

  __device__ __forceinline__ void SetShare(const MmaDecodeArgs& args, const LaneLengths& fetched,
                                           int lane) {
    const TokenShare place = ShareOf(args.shares, fetched, static_cast<int>(args.params.num_seqs),
                                     static_cast<int>(args.params.max_seq_len), share, lane);
    sequence = max(place.sequence, 0);
    row = place.sequence < 0 ? -1 : place.row;
    begin = place.begin;
    most_tokens = place.tokens;
  }

  // Moves a split, whose place was that in a sequence as long as the call says, to where it is in
  // one of `seq_len`. Returns whether that is elsewhere.
  __device__ __forceinline__ bool MoveSplit(const MmaDecodeArgs& args, int seq_len) {
    if (args.plan.num_splits == 1) return false;
    const int64_t tokens =
        args.splits.TokensOf(AttendedLength<int64_t>(seq_len, args.params.max_seq_len));
    if (tokens == most_tokens) return false;
    SetSplit(tokens);
    return true;
  }

  // The row of query head `head` among all of the scratch.
  __device__ __forceinline__ int64_t ScratchRow(const MmaDecodeArgs& args, int64_t head) const {
    if (args.plan.num_shares != 0) return row * args.params.num_heads + head;
    return (sequence * args.params.num_heads + head) * args.scratch.num_partitions + row;
  }

 private:
  static constexpr int64_t kMostTokens = INT32_MAX;  // of a length

  __device__ __forceinline__ void SetSplit(int64_t tokens) {
    begin = static_cast<int>(min(row * tokens, kMostTokens));
    most_tokens = static_cast<int>(min(tokens, kMostTokens));
  }
};

// The tokens of an item: [begin, end) of a sequence of `length`.
struct ItemTokens {
  int length;
  int begin;
  int end;
  bool whole;  // all tokens of the sequence: needs no scratch

  ItemTokens() = default;
  __device__ __forceinline__ ItemTokens(const MmaDecodeArgs& args, const MmaItem& item,
                                        int seq_len) {
    length = static_cast<int>(AttendedLength<int64_t>(seq_len, args.params.max_seq_len));
    whole = item.begin == 0 && length <= item.most_tokens;
    begin = min(item.begin, length);
    end = begin + min(item.most_tokens, length - begin);
  }
};

// The steps of a warp: first, first + stride, .. so that where they begin does not depend on the
// length, whose load need not be waited for.
struct WarpSteps {
  int first;   // of the sequence
  int stride;  // warps that share the item: 1 << log_stride
  int count;
  int log_stride;

  template <typename Shape>
  static __device__ __forceinline__ WarpSteps Of(const MmaDecodeArgs& args, const MmaItem& item,
                                                 const WarpPlace& place) {
    static_assert(kSplitUnit % Shape::kStepTokens == 0 && kShareUnit % Shape::kStepTokens == 0);
    WarpSteps steps;
    steps.first = KeepInRegister((item.begin >> Shape::kLogStepTokens) + place.part);
    steps.log_stride = args.log_cluster_size + place.log_warps;
    steps.stride = KeepInRegister(1 << steps.log_stride);
    steps.count = 0;
    return steps;
  }
  template <typename Shape>
  __device__ __forceinline__ void SetCount(const ItemTokens& tokens) {
    const int past = static_cast<int>(
        (static_cast<unsigned>(tokens.end) + Shape::kStepTokens - 1) >> Shape::kLogStepTokens);
    const bool none = past <= first || tokens.begin == tokens.end;
    count = none ? 0 : ((past - first - 1) >> log_stride) + 1;
  }
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_MMA_ITEM_CUH_
