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
      shared.base[warp][head] = MmaSoftmax<Shape>::BaseOf(softmax.max[p][i]);
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
// that were merged so far. Relative to `base`, as `sum` is.
struct Merged {
  float base = -INFINITY;
  float sum = 0.0f;
  float4 out = {};
};

// Merges `count` parts, one after the other, kAtOnce of which are fetched together.
template <int kAtOnce, typename WeightOf, typename OutOf>
__device__ __forceinline__ Merged MergeParts(int count, const WeightOf& weight_of,
                                             const OutOf& out_of) {
  Merged merged;
#pragma unroll kAtOnce
  for (int i = 0; i < count; ++i) merged.base = fmaxf(merged.base, weight_of(i).x);
  const float base = merged.base == -INFINITY ? 0.0f : merged.base;
#pragma unroll kAtOnce
  for (int i = 0; i < count; ++i) {
    const float2 weight = weight_of(i);
    const float4 part = out_of(i);
    const float factor = Exp2(weight.x - base);
    merged.sum += weight.y * factor;
    merged.out.x += part.x * factor;
    merged.out.y += part.y * factor;
    merged.out.z += part.z * factor;
    merged.out.w += part.w * factor;
  }
  return merged;
}

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

// Writes elements of the result: to params.out, or to a row of the scratch, whose base is a natural
// logarithm, in the place of the largest logit.
template <typename Shape>
__device__ __forceinline__ void WriteElements(const MmaDecodeArgs& args, const MmaItem& item,
                                              bool whole, int h, int element, const Merged& merged,
                                              float value_scale) {
  const PagedAttentionParams& params = args.params;
  const int64_t head = item.first_head + h;
  const float factor = merged.sum == 0.0f ? 0.0f : value_scale / merged.sum;
  float values[4] = {merged.out.x, merged.out.y, merged.out.z, merged.out.w};
#pragma unroll
  for (float& value : values) value = merged.sum == 0.0f ? 0.0f : value * factor;
  const int64_t row = whole ? 0 : item.ScratchRow(args, head);
  const int64_t first = whole
                            ? item.sequence * params.out_seq_stride + head * params.out_head_stride
                            : row * Shape::kHeadSize;
  StoreFour(whole ? params.element : args.scratch.tmp_element,
            whole ? params.out : args.scratch.tmp_out, first + element, values);
  if (!whole && element == 0) {
    constexpr float kLn2 = 0.6931471805599453f;
    args.scratch.max_logits[row] = merged.base * kLn2;
    args.scratch.exp_sums[row] = merged.sum;
  }
}

// Merges what PublishWarp left of `num_warps` warps of this CTA.
template <typename Shape, int kAtOnce>
__device__ __forceinline__ Merged MergeWarps(typename Shape::Shared& shared, int ring_tiles,
                                             int first_warp, int num_warps, int h, int element) {
  return MergeParts<kAtOnce>(
      num_warps,
      [&](int i) { return float2{shared.base[first_warp + i][h], shared.sum[first_warp + i][h]}; },
      [&](int i) {
        return *reinterpret_cast<const float4*>(
            &shared.Sums(first_warp + i, ring_tiles)[h][element]);
      });
}

// Writes the result of an item of which a CTA takes several, after a barrier of the CTA. For the
// warps of the item together.
template <typename Shape>
__device__ __forceinline__ void WriteSmallItem(const MmaDecodeArgs& args, const MmaItem& item,
                                               const ItemTokens& tokens, const WarpPlace& place,
                                               float value_scale, typename Shape::Shared& shared) {
  constexpr int kQuads = Shape::kQuads;
  const int count = item.num_heads * kQuads;
  const int ring_tiles = Shape::RingTiles(args.plan);
  const int threads = 32 << place.log_warps;
#pragma unroll 1
  for (int i = static_cast<int>(threadIdx.x) - 32 * place.first_warp; i < count; i += threads) {
    const int h = i / kQuads;
    const int element = i % kQuads * 4;
    const Merged merged = MergeWarps<Shape, 1>(shared, ring_tiles, place.first_warp,
                                               1 << place.log_warps, h, element);
    WriteElements<Shape>(args, item, tokens.whole, h, element, merged, value_scale);
  }
}

// Merges what PublishWarp left in the CTAs of the cluster and writes the result, after a barrier of
// the CTA. In a cluster of several, each merges its warps, and of all quads an equal part of what
// these leave.
template <typename Shape>
__device__ __forceinline__ void WriteItem(const MmaDecodeArgs& args, const MmaItem& item,
                                          const ItemTokens& tokens, int rank, float value_scale,
                                          typename Shape::Shared& shared) {
  const int cluster_size = args.plan.cluster_size;
  constexpr int kQuads = Shape::kQuads;
  const int count = item.num_heads * kQuads;
  const int ring_tiles = Shape::RingTiles(args.plan);
  const int of_rank = (count + cluster_size - 1) >> args.log_cluster_size;
  auto& handed = Shape::HandedBehind(shared);
  if (cluster_size > 1) WaitForCluster();
#pragma unroll 1
  for (int i = threadIdx.x; i < count; i += Shape::kThreads) {
    const int h = i / kQuads;
    const int element = i % kQuads * 4;
    const Merged merged =
        MergeWarps<Shape, Shape::kWarps>(shared, ring_tiles, 0, Shape::kWarps, h, element);
    if (cluster_size == 1) {
      WriteElements<Shape>(args, item, tokens.whole, h, element, merged, value_scale);
      continue;
    }
    const int target = i / of_rank;
    const int place = rank * of_rank + i - target * of_rank;
    StoreInRank(AddressInRank(&handed.out[place], target), merged.out);
    StoreInRank(AddressInRank(&handed.weight[place], target), float2{merged.base, merged.sum});
  }
  if (cluster_size == 1) return;
  SyncCluster();
  const int first = rank * of_rank;
  for (int i = threadIdx.x; i < min(of_rank, count - first); i += Shape::kThreads) {
    const int h = (first + i) / kQuads;
    const int element = (first + i) % kQuads * 4;
    const Merged merged = MergeParts<2>(
        cluster_size, [&](int r) { return handed.weight[r * of_rank + i]; },
        [&](int r) { return handed.out[r * of_rank + i]; });
    WriteElements<Shape>(args, item, tokens.whole, h, element, merged, value_scale);
  }
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_MMA_EPILOGUE_CUH_
