// From the warps' sums to the result of a work item: warps meet in shared memory, CTAs of a cluster
// in distributed shared memory. Always in the same order, so that results do not vary.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_MMA_EPILOGUE_CUH_
#define STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_MMA_EPILOGUE_CUH_

#include <cmath>
#include <cstdint>

#include "csrc/kernels/attention/cuda/mma/cluster.cuh"
#include "csrc/kernels/attention/cuda/mma/mma_item.cuh"
#include "csrc/kernels/attention/cuda/mma/mma_scores.cuh"
#include "csrc/kernels/attention/cuda/mma/mma_shape.cuh"
#include "csrc/kernels/attention/cuda/mma/mma_values.cuh"
#include "csrc/kernels/common/cuda/number_format.cuh"

namespace stablekv {

// Leaves a warp's sums in shared memory, in the place of its tiles, which must be used up.
template <typename Shape>
__device__ __forceinline__ void PublishWarp(const MmaSoftmax<Shape>& softmax,
                                            const MmaSums<Shape>& sums, const MmaDecodeArgs& args,
                                            int warp, int lane, typename Shape::Shared& shared) {
  float (*const rows)[Shape::kSumPitch] = shared.Sums(warp, Shape::RingTiles(args.plan));
  const int row = lane / 4;
#pragma unroll
  for (int column = 0; column < 2 * Shape::kProducts; ++column) {
    const int p = column / 2;
    const int i = column % 2;
    const int head = kMmaHeads * p + lane % 4 * 2 + i;
    if (row == 0) {
      shared.max[warp][head] = softmax.max[p][i];
      shared.sum[warp][head] = softmax.sum[p][i];
    }
#pragma unroll
    for (int step = 0; step < Shape::kHeadSteps; ++step) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int element = 16 * step + MmaSums<Shape>::ElementOf(row, half);
        if (element < Shape::kHeadSize) rows[head][element] = sums.sums[p][step][2 * half + i];
      }
    }
  }
}

// Four neighbouring elements of the output of a head, before the division by `sum`, for the tokens
// that were merged so far.
struct Merged {
  float max = -INFINITY;
  float sum = 0.0f;
  float out[4] = {};

  __device__ __forceinline__ void Add(float part_max, float part_sum, const float4& part) {
    const float new_max = fmaxf(max, part_max);
    const float base = new_max == -INFINITY ? 0.0f : new_max;
    const float factor = Exp2(max - base);
    const float part_factor = Exp2(part_max - base);
    max = new_max;
    sum = sum * factor + part_sum * part_factor;
    out[0] = out[0] * factor + part.x * part_factor;
    out[1] = out[1] * factor + part.y * part_factor;
    out[2] = out[2] * factor + part.z * part_factor;
    out[3] = out[3] * factor + part.w * part_factor;
  }
};

// Writes elements of the result: to params.out, or to the split's row of the scratch, which has
// natural logarithms and sums of unscaled weights.
template <typename Shape>
__device__ __forceinline__ void WriteElements(const MmaDecodeArgs& args, const MmaItem& item,
                                              bool whole, int h, int element, const Merged& merged,
                                              float value_scale) {
  const PagedAttentionParams& params = args.params;
  const int64_t head = item.first_head + h;
  const float factor = merged.sum == 0.0f ? 0.0f : value_scale / merged.sum;
  float values[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) values[i] = merged.sum == 0.0f ? 0.0f : merged.out[i] * factor;
  if (whole) {
    const int64_t index =
        item.sequence * params.out_seq_stride + head * params.out_head_stride + element;
#pragma unroll
    for (int i = 0; i < 4; ++i) StoreElement(params.element, params.out, index + i, values[i]);
    return;
  }
  constexpr float kLn2 = 0.6931471805599453f;
  constexpr float kUnscaled = 1.0f / (1 << Shape::Traits::kWeightExponent);
  const int64_t row =
      (item.sequence * params.num_heads + head) * args.scratch.num_partitions + item.split;
  const int64_t index = row * Shape::kHeadSize + element;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    StoreElement(args.scratch.tmp_element, args.scratch.tmp_out, index + i, values[i]);
  }
  if (element == 0) {
    args.scratch.max_logits[row] = merged.max * kLn2;
    args.scratch.exp_sums[row] = merged.sum * kUnscaled;
  }
}

// Merges what PublishWarp left in the CTAs of the cluster, and writes the result.
template <typename Shape>
__device__ void WriteItem(const MmaDecodeArgs& args, const MmaItem& item, const ItemTokens& tokens,
                          int rank, float value_scale, typename Shape::Shared& shared) {
  const int cluster_size = args.plan.cluster_size;
  constexpr int kQuads = Shape::kHeadSize / 4;
  const int count = item.num_heads * kQuads;
  const int ring_tiles = Shape::RingTiles(args.plan);
  __syncthreads();
  // Each CTA merges its warps, in a cluster of several in the place of the first warp's sums.
  for (int i = threadIdx.x; i < count; i += Shape::kThreads) {
    const int h = i / kQuads;
    const int element = i % kQuads * 4;
    Merged merged;
#pragma unroll
    for (int w = 0; w < Shape::kWarps; ++w) {
      merged.Add(shared.max[w][h], shared.sum[w][h],
                 *reinterpret_cast<const float4*>(&shared.Sums(w, ring_tiles)[h][element]));
    }
    if (cluster_size == 1) {
      WriteElements<Shape>(args, item, tokens.whole, h, element, merged, value_scale);
      continue;
    }
    *reinterpret_cast<float4*>(&shared.Sums(0, ring_tiles)[h][element]) = {
        merged.out[0], merged.out[1], merged.out[2], merged.out[3]};
    if (element == 0) {
      shared.cta_max[h] = merged.max;
      shared.cta_sum[h] = merged.sum;
    }
  }
  if (cluster_size == 1) return;
  SyncCluster();
  for (int i = rank * Shape::kThreads + threadIdx.x; i < count;
       i += cluster_size * Shape::kThreads) {
    const int h = i / kQuads;
    const int element = i % kQuads * 4;
    Merged merged;
#pragma unroll 4
    for (int r = 0; r < cluster_size; ++r) {
      merged.Add(ReadFromRank(&shared.cta_max[h], r), ReadFromRank(&shared.cta_sum[h], r),
                 ReadFourFromRank(&shared.Sums(0, ring_tiles)[h][element], r));
    }
    WriteElements<Shape>(args, item, tokens.whole, h, element, merged, value_scale);
  }
  WaitForCluster();  // nobody leaves while others read its shared memory
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_MMA_EPILOGUE_CUH_
