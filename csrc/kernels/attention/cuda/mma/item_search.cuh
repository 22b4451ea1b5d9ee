// Finds what a warp works on, by lengths that earlier kernels may still write.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_ITEM_SEARCH_CUH_
#define STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_ITEM_SEARCH_CUH_

#include "csrc/kernels/attention/cuda/mma/length_order.cuh"
#include "csrc/kernels/attention/cuda/mma/mma_args.h"
#include "csrc/kernels/attention/cuda/mma/mma_item.cuh"
#include "csrc/kernels/attention/cuda/mma/tile_loader.cuh"
#include "csrc/kernels/attention/cuda/token_shares.cuh"
#include "csrc/kernels/common/cuda/overlap.cuh"
#include "csrc/kernels/common/cuda/warp.cuh"

namespace stablekv {

// The item of a warp, its tokens and the steps that the warp takes of them. Lengths may say that it
// is elsewhere than its number alone does: another sequence in the order of lengths, a share, or a
// split that begins elsewhere. Called by all threads of a CTA together.
template <typename Shape>
class ItemSearch {
 public:
  MmaItem item;
  ItemTokens tokens;
  WarpSteps steps;

  // idle: the warp has no item.
  __device__ __forceinline__ ItemSearch(const MmaDecodeArgs& args, const WarpPlace& place,
                                        bool idle, int lane, typename Shape::Shared& shared)
      : item(args, KeepInRegister(idle ? args.num_items - 1 : place.item)),
        args_(args),
        place_(place),
        idle_(idle),
        lane_(lane),
        has_shares_(args.plan.num_shares != 0),
        has_order_(args.plan.longest_first),
        order_(args, item.sequence, shared) {
    item.kv_head = KeepInRegister(item.kv_head);
    steps = WarpSteps::Of<Shape>(args, item, place);
  }

  // Has `loader` fetch the first entries of the item's block table on the way: all is fetched at
  // once, and a second time if the item is elsewhere.
  __device__ __forceinline__ void Find(TileLoader<Shape>& loader) {
    bool in_place = !has_order_ && !has_shares_;
    bool again;
#pragma unroll 1
    do {
      loader.Prefetch(steps, item.sequence);
      length_ = LoadUncached(args_.params.seq_lens + item.sequence);
      again = false;
      if (!in_place) {
        in_place = true;
        if (has_shares_) {
          lengths_.Fetch(args_.params, lane_);
          item.SetShare(args_, lengths_, lane_);
          again = true;
        } else {
          const int sequence = order_.Find();
          again = sequence != item.sequence;
          item.sequence = sequence;
        }
      }
      if (!again && !has_shares_) again = item.MoveSplit(args_, length_);
      if (again) steps = WarpSteps::Of<Shape>(args_, item, place_);
    } while (__builtin_expect(again, false));
    tokens = ItemTokens(args_, item, length_);
    if (!idle_) steps.SetCount<Shape>(tokens);
  }

  // Fetches what Find() went by again, without waiting for it, for HasChanged().
  __device__ __forceinline__ void FetchAgain(TileLoader<Shape>& loader) {
    loader.FetchAgain();
    true_length_ = LoadUncached(args_.params.seq_lens + item.sequence);
    if (has_shares_) true_lengths_.Fetch(args_.params, lane_);
  }
  __device__ __forceinline__ bool HasChanged(const TileLoader<Shape>& loader) const {
    bool changed = loader.HasChanged() || true_length_ != length_;
    if (has_shares_) changed |= true_lengths_ != lengths_;
    return has_order_ ? __syncthreads_or(changed || order_.HasChanged())
                      : __any_sync(kFullWarp, changed);
  }

  // What Find() went by was wrong, as were the tiles that `loader` sent for.
  __device__ __forceinline__ void Forget(TileLoader<Shape>& loader) {
    loader.Drain();
    if (has_order_) __syncthreads();  // it uses the place of all tiles
  }

 private:
  const MmaDecodeArgs& args_;
  const WarpPlace& place_;
  bool idle_;
  int lane_;
  bool has_shares_;
  bool has_order_;
  LengthOrder<Shape> order_;
  int length_;  // of the item's sequence
  int true_length_;
  LaneLengths lengths_;  // of all sequences, if there are shares
  LaneLengths true_lengths_;
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_ITEM_SEARCH_CUH_
