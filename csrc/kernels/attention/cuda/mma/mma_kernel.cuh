// The tensor-core decode kernel: a warp reads the keys and values of its tokens once for all query
// heads of a tile.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_MMA_KERNEL_CUH_
#define STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_MMA_KERNEL_CUH_

#include <cstdint>

#include "csrc/kernels/attention/cuda/mma/item_search.cuh"
#include "csrc/kernels/attention/cuda/mma/mma_epilogue.cuh"
#include "csrc/kernels/attention/cuda/mma/mma_item.cuh"
#include "csrc/kernels/attention/cuda/mma/mma_query.cuh"
#include "csrc/kernels/attention/cuda/mma/mma_scores.cuh"
#include "csrc/kernels/attention/cuda/mma/mma_shape.cuh"
#include "csrc/kernels/attention/cuda/mma/mma_values.cuh"
#include "csrc/kernels/attention/cuda/mma/tile_loader.cuh"
#include "csrc/kernels/common/cuda/overlap.cuh"

namespace stablekv {

// Takes in the warp's tokens.
template <typename Shape>
__device__ __forceinline__ void WalkTokens(const MmaDecodeArgs& args, const ItemTokens& tokens,
                                           const WarpSteps& steps, const LogitScale<Shape>& scale,
                                           const MmaQuery<Shape>& query, int lane,
                                           TileLoader<Shape>& loader, MmaSoftmax<Shape>& softmax,
                                           MmaSums<Shape>& sums) {
#pragma unroll 1
  for (int step = 0; step < steps.count; ++step) {
    ScoreTiles<Shape> scores;
    const uint32_t keys = loader.Wait();
    const uint64_t attended = loader.Attended();
    ScoreKeys<Shape>(keys, args.block_shift, query, lane, scores);
    loader.Release();

    const float distance = static_cast<float>(
        tokens.length - 1 -
        (static_cast<int64_t>(steps.first + step * steps.stride) << Shape::kLogStepTokens));
    WeightTiles<Shape> weights;
    OfHeads<Shape> factors;
    const bool rescale = softmax.Update(scale, attended, distance, lane, scores, weights, factors);
    if (rescale) sums.Scale(factors);

    const uint32_t values = loader.Wait();
    if (attended != Shape::kAllAttended) {
      ClearUnattended<Shape>(values, args.block_shift, attended, lane);
    }
    sums.Add(values, args.block_shift, weights, lane);
    loader.Release();
  }
}

template <typename Shape>
__global__ void __launch_bounds__(Shape::kThreads, Shape::kResidentCtas)
    MmaDecodeKernel(const __grid_constant__ MmaDecodeArgs args) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  extern __shared__ __align__(128) uint8_t memory[];
  auto& shared = *reinterpret_cast<typename Shape::Shared*>(memory);
  const int warp = threadIdx.x / 32;
  const int lane = threadIdx.x % 32;
  if (args.plan.cluster_size > 1) ArriveAtCluster();
  TileLoader<Shape>::InitRing(warp, lane, shared);
  const WarpPlace place = WarpPlace::Of<Shape>(args, warp);
  const bool idle = place.item >= args.num_items;  // in the last CTA
  ItemSearch<Shape> search(args, place, idle, lane, shared);
  TileLoader<Shape> loader(args, search.item, warp, lane, shared);
  MmaQuery<Shape> query;
  float key_scale = 1.0f;
  float value_scale = 1.0f;
  // CTAs that are there while earlier kernels end find their item by lengths and block tables that
  // may not be written yet, and send for its tiles as soon as these are done. Then they see whether
  // they were right.
  bool guess = kBulkCopies && blockIdx.x < args.plan.ctas_at_once;
  if (!guess) {
    WaitForEarlierKernels();
    LetNextKernelStart();
  }
#pragma unroll 1
  while (true) {
    search.Find(loader);
    if (guess) {
      WaitForEarlierKernels();
      LetNextKernelStart();
    }
    loader.Start(search.steps, search.tokens.end);
    if (guess) search.FetchAgain(loader);
    query.Fetch(args.params, search.item, lane);
    if (Shape::kScaled) {
      key_scale = *args.params.k_scale;
      value_scale = *args.params.v_scale;
    }
    loader.FillRing();
    if (!guess || __builtin_expect(!search.HasChanged(loader), true)) break;
    guess = false;
    search.Forget(loader);
  }
  const MmaItem& item = search.item;
  const ItemTokens& tokens = search.tokens;
  if (item.row < 0 || (item.begin != 0 && tokens.begin >= tokens.length)) return;

  MmaSoftmax<Shape> softmax;
  MmaSums<Shape> sums;
  sums.Clear();
  if (search.steps.count > 0) {
    query.Convert(args.params.element);
    const LogitScale<Shape> scale(args.params, item, key_scale, query, lane);
    WalkTokens<Shape>(args, tokens, search.steps, scale, query, lane, loader, softmax, sums);
  }

  softmax.Finish();
  PublishWarp<Shape>(softmax, sums, args, warp, lane, shared);
  __syncthreads();
  if (args.plan.log_items_per_cta == 0) {
    WriteItem<Shape>(args, item, tokens, place.rank, value_scale, shared);
  } else if (!idle) {
    WriteSmallItem<Shape>(args, item, tokens, place, value_scale, shared);
  }
#endif
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_MMA_KERNEL_CUH_
