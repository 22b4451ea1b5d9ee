// The decode attention kernel: one CTA reads a work item's keys and values once for a tile of the
// query heads that share them.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_DECODE_KERNEL_CUH_
#define STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_DECODE_KERNEL_CUH_

#include <cmath>
#include <cstdint>

#include "csrc/kernels/attention/cuda/block_walk.cuh"
#include "csrc/kernels/attention/cuda/decode_args.h"
#include "csrc/kernels/attention/cuda/decode_shape.cuh"
#include "csrc/kernels/attention/cuda/epilogue.cuh"
#include "csrc/kernels/attention/cuda/key_scores.cuh"
#include "csrc/kernels/attention/cuda/softmax_state.cuh"
#include "csrc/kernels/attention/cuda/value_sums.cuh"
#include "csrc/kernels/common/cuda/warp.cuh"

namespace stablekv {

// The tokens of one work item that one warp takes, step by step.
template <typename Shape>
class WarpWalk {
 public:
  using Bits = typename Shape::Bits;

  __device__ WarpWalk(const DecodeArgs& args, const WorkItem& item, float key_scale)
      : args_(args),
        item_(item),
        blocks_(args, item),
        keys_(static_cast<const Bits*>(args.params.key_cache) +
              item.kv_head * args.params.key_cache_head_stride),
        values_(static_cast<const Bits*>(args.params.value_cache) +
                item.kv_head * args.params.value_cache_head_stride),
        key_scale_(key_scale),
        block_size_(1 << args.block_shift) {}

  // Adds the tokens [step, step + kStepTokens) to `softmax` and `sums`.
  __device__ __forceinline__ void Step(int64_t step, const typename Shape::Walking& query,
                                       float (&weights)[Shape::kHeads][Shape::kStepTokens],
                                       SoftmaxState (&softmax)[Shape::kHeads],
                                       ValueSums<Shape>& sums) const {
    int blocks[Shape::kTokensPerLane];
    bool any = false;
#pragma unroll
    for (int j = 0; j < Shape::kTokensPerLane; ++j) {
      blocks[j] = blocks_.BlockOf(step + 32 * j + Lane());
      any |= blocks[j] >= 0;
    }
    if (!__any_sync(kFullWarp, any)) return;
    float scores[Shape::kHeads][Shape::kTokensPerLane];
    Score(step, blocks, query.query, scores);
    __syncwarp();  // the weights of the step before are read
#pragma unroll
    for (int h = 0; h < Shape::kHeads; ++h) {
      ToLogits(step, blocks, h, scores[h]);
      sums.Scale(h, softmax[h].Update(scores[h]));
#pragma unroll
      for (int j = 0; j < Shape::kTokensPerLane; ++j) weights[h][32 * j + Lane()] = scores[h][j];
    }
    __syncwarp();
    AddValues(step, blocks, weights, sums);
  }

 private:
  static __device__ __forceinline__ int Lane() { return threadIdx.x % 32; }

  __device__ __forceinline__ void Score(
      int64_t step, const int (&blocks)[Shape::kTokensPerLane],
      const float (&query)[Shape::kHeads][Shape::kPaddedHeadSize],
      float (&scores)[Shape::kHeads][Shape::kTokensPerLane]) const {
    const Bits* keys[Shape::kTokensPerLane];
#pragma unroll
    for (int j = 0; j < Shape::kTokensPerLane; ++j) {
      const int offset = static_cast<int>(step + 32 * j + Lane()) & (block_size_ - 1);
      keys[j] = blocks[j] < 0
                    ? nullptr
                    : keys_ + blocks[j] * args_.params.key_cache_block_stride + offset * Shape::kX;
    }
    ScoreKeys<Shape>(query, keys, block_size_ * Shape::kX, args_.key_vectors, scores);
  }

  // Scales, adds the bias and takes out the tokens that are not attended to.
  __device__ __forceinline__ void ToLogits(int64_t step, const int (&blocks)[Shape::kTokensPerLane],
                                           int head, float (&scores)[Shape::kTokensPerLane]) const {
    const float* slopes = args_.params.alibi_slopes;
    const float slope =
        slopes != nullptr && head < item_.num_heads ? slopes[item_.first_head + head] : 0.0f;
#pragma unroll
    for (int j = 0; j < Shape::kTokensPerLane; ++j) {
      const float distance = static_cast<float>(step + 32 * j + Lane() - item_.length + 1);
      const float logit = fmaf(slope, distance, scores[j] * key_scale_ * args_.params.scale);
      scores[j] = blocks[j] < 0 ? -INFINITY : logit;
    }
  }

  __device__ __forceinline__ void AddValues(
      int64_t step, const int (&blocks)[Shape::kTokensPerLane],
      const float (&weights)[Shape::kHeads][Shape::kStepTokens], ValueSums<Shape>& sums) const {
#pragma unroll 1
    for (int sub = 0; sub < Shape::kStepTokens; sub += Shape::kSubStepTokens) {
      const int token = sub + ValueSums<Shape>::FirstToken();
      int block = blocks[0];
#pragma unroll
      for (int j = 1; j < Shape::kTokensPerLane; ++j) block = sub / 32 == j ? blocks[j] : block;
      block = __shfl_sync(kFullWarp, block, token % 32);
      const int64_t left = item_.end - (step + token);
      const int count =
          block < 0 ? 0 : static_cast<int>(min(left, static_cast<int64_t>(Shape::kValueChunk)));
      if (!__any_sync(kFullWarp, count > 0)) continue;
      const int offset = static_cast<int>(step + token) & (block_size_ - 1);
      const Bits* values = values_ + block * args_.params.value_cache_block_stride + offset;
      sums.Add(values, count, block_size_, args_.value_vectors, &weights[0][token]);
    }
  }

  const DecodeArgs& args_;
  const WorkItem& item_;
  BlockWalk blocks_;
  const Bits* keys_;
  const Bits* values_;
  float key_scale_;
  int block_size_;
};

template <typename Format, int kHeadSize, int kHeads>
__global__ void __launch_bounds__(kDecodeThreads,
                                  DecodeShape<Format, kHeadSize, kHeads>::kResidentCtas)
    DecodeKernel(const __grid_constant__ DecodeArgs args) {
  using Shape = DecodeShape<Format, kHeadSize, kHeads>;
  __shared__ typename Shape::Shared shared;
  constexpr bool scaled = sizeof(typename Shape::Bits) == 1;
  const float key_scale = scaled ? *args.params.k_scale : 1.0f;
  const float value_scale = scaled ? *args.params.v_scale : 1.0f;
  const int warp = threadIdx.x / 32;

  for (int64_t index = blockIdx.x; index < args.num_work_items; index += gridDim.x) {
    const WorkItem item = WorkItem::At(args, index);
    if (args.partitioned && item.begin == item.end) continue;
    __syncthreads();  // the work item before is written
    StageQuery<Shape>(args.params, item, shared.walking.query);
    __syncthreads();

    SoftmaxState softmax[kHeads];
    ValueSums<Shape> sums;
    const WarpWalk<Shape> walk(args, item, key_scale);
    for (int64_t step = item.begin + warp * Shape::kStepTokens; step < item.end;
         step += kDecodeWarps * Shape::kStepTokens) {
      walk.Step(step, shared.walking, shared.walking.weights[warp], softmax, sums);
    }

    __syncthreads();
    PublishWarp<Shape>(softmax, sums, shared.merging);
    __syncthreads();
    WriteTile<Shape>(args, item, value_scale, shared.merging);
  }
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_DECODE_KERNEL_CUH_
