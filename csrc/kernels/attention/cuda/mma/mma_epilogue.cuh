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

// Stores four neighbouring elements, at once if their place is aligned.
__device__ __forceinline__ void StoreFour(ElementType type, void* array, int64_t index,
                                          const float (&values)[4]) {
  if (type == ElementType::kFloat32) {
    float* const target = static_cast<float*>(array) + index;
    if (reinterpret_cast<uintptr_t>(target) % 16 == 0) {
      *reinterpret_cast<float4*>(target) = {values[0], values[1], values[2], values[3]};
      return;
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) target[i] = values[i];
    return;
  }
  uint16_t* const target = static_cast<uint16_t*>(array) + index;
  uint16_t bits[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    bits[i] = type == ElementType::kFloat16 ? Float16Format::Encode(values[i])
                                            : BFloat16Format::Encode(values[i]);
  }
  if (reinterpret_cast<uintptr_t>(target) % 8 == 0) {
    *reinterpret_cast<ushort4*>(target) = {bits[0], bits[1], bits[2], bits[3]};
    return;
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) target[i] = bits[i];
}

// Writes elements of the result: to params.out, or to a row of the scratch, which has natural
// logarithms and sums of unscaled weights.
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
  const int64_t row = whole ? 0 : item.Row(args, head);
  const int64_t first = whole
                            ? item.sequence * params.out_seq_stride + head * params.out_head_stride
                            : row * Shape::kHeadSize;
  StoreFour(whole ? params.element : args.scratch.tmp_element,
            whole ? params.out : args.scratch.tmp_out, first + element, values);
  if (!whole && element == 0) {
    constexpr float kLn2 = 0.6931471805599453f;
    constexpr float kUnscaled = 1.0f / (1 << Shape::Traits::kWeightExponent);
    args.scratch.max_logits[row] = merged.max * kLn2;
    args.scratch.exp_sums[row] = merged.sum * kUnscaled;
  }
}

// Merges what PublishWarp left of warps of this CTA.
template <typename Shape, int kMostWarps>
__device__ __forceinline__ Merged MergeWarps(typename Shape::Shared& shared, int ring_tiles,
                                             int first_warp, int num_warps, int h, int element) {
  Merged merged;
#pragma unroll
  for (int i = 0; i < kMostWarps; ++i) {
    if (i >= num_warps) break;
    const int w = first_warp + i;
    merged.Add(shared.max[w][h], shared.sum[w][h],
               *reinterpret_cast<const float4*>(&shared.Sums(w, ring_tiles)[h][element]));
  }
  return merged;
}

// Writes the result of an item of which a CTA takes several, after a barrier of the CTA. For the
// warps of the item together.
template <typename Shape>
__device__ __forceinline__ void WriteSmallItem(const MmaDecodeArgs& args, const MmaItem& item,
                                               const ItemTokens& tokens, const WarpPlace& place,
                                               float value_scale, typename Shape::Shared& shared) {
  constexpr int kQuads = Shape::kHeadSize / 4;
  const int count = item.num_heads * kQuads;
  const int ring_tiles = Shape::RingTiles(args.plan);
  const int threads = 32 << place.log_warps;
#pragma unroll 1
  for (int i = static_cast<int>(threadIdx.x) - 32 * place.first_warp; i < count; i += threads) {
    const int h = i / kQuads;
    const int element = i % kQuads * 4;
    const Merged merged = MergeWarps<Shape, Shape::kWarps / 2>(shared, ring_tiles, place.first_warp,
                                                               1 << place.log_warps, h, element);
    WriteElements<Shape>(args, item, tokens.whole, h, element, merged, value_scale);
  }
}

// Merges what PublishWarp left in the CTAs of the cluster and writes the result, after a barrier of
// the CTA.
template <typename Shape>
__device__ __forceinline__ void WriteItem(const MmaDecodeArgs& args, const MmaItem& item,
                                          const ItemTokens& tokens, int rank, float value_scale,
                                          typename Shape::Shared& shared) {
  const int cluster_size = args.plan.cluster_size;
  constexpr int kQuads = Shape::kHeadSize / 4;
  const int count = item.num_heads * kQuads;
  const int ring_tiles = Shape::RingTiles(args.plan);
  // Each CTA merges its warps, in a cluster of several in the place of the first warp's sums.
  for (int i = threadIdx.x; i < count; i += Shape::kThreads) {
    const int h = i / kQuads;
    const int element = i % kQuads * 4;
    const Merged merged =
        MergeWarps<Shape, Shape::kWarps>(shared, ring_tiles, 0, Shape::kWarps, h, element);
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
