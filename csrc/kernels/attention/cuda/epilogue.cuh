// From the warps' sums to the result of a work item.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_EPILOGUE_CUH_
#define STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_EPILOGUE_CUH_

#include <cstdint>

#include "csrc/kernels/attention/cuda/block_walk.cuh"
#include "csrc/kernels/attention/cuda/decode_shape.cuh"
#include "csrc/kernels/attention/cuda/softmax_state.cuh"
#include "csrc/kernels/attention/cuda/value_sums.cuh"
#include "csrc/kernels/common/cuda/number_format.cuh"
#include "csrc/kernels/common/cuda/warp.cuh"

namespace stablekv {

// Leaves a warp's sums in shared memory. The CTA must be through with `walking`.
template <typename Shape>
__device__ __forceinline__ void PublishWarp(const SoftmaxState (&softmax)[Shape::kHeads],
                                            const ValueSums<Shape>& sums,
                                            typename Shape::Merging& merging) {
  const int warp = threadIdx.x / 32;
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int h = 0; h < Shape::kHeads; ++h) {
    const float sum = WarpSum(softmax[h].sum);
    if (lane == 0) {
      merging.max[warp][h] = softmax[h].max;
      merging.sum[warp][h] = sum;
    }
#pragma unroll
    for (int p = 0; p < Shape::kPasses; ++p) {
      const float total = sums.Total(h, p);
      const int row = ValueSums<Shape>::RowOf(p);
      if (lane % Shape::kRowLanes == 0 && row < Shape::kHeadSize) merging.out[warp][h][row] = total;
    }
  }
}

// Merges the warps and writes the tile: to params.out, or to the partition's place in the scratch.
// Zeros where no token was attended to.
template <typename Shape>
__device__ void WriteTile(const DecodeArgs& args, const WorkItem& item, float value_scale,
                          const typename Shape::Merging& merging) {
  const PagedAttentionParams& params = args.params;
  for (int i = threadIdx.x; i < item.num_heads * Shape::kHeadSize; i += kDecodeThreads) {
    const int h = i / Shape::kHeadSize;
    const int row = i % Shape::kHeadSize;
    float max = merging.max[0][h];
#pragma unroll
    for (int w = 1; w < kDecodeWarps; ++w) max = fmaxf(max, merging.max[w][h]);
    float sum = 0.0f;
    float out = 0.0f;
#pragma unroll
    for (int w = 0; w < kDecodeWarps; ++w) {
      const float factor = expf(merging.max[w][h] - SoftmaxBase(max));
      sum += merging.sum[w][h] * factor;
      out += merging.out[w][h][row] * factor;
    }
    const float value = sum == 0.0f ? 0.0f : out / sum * value_scale;
    const int64_t head = item.first_head + h;
    if (!args.partitioned) {
      StoreElement(params.element, params.out,
                   item.sequence * params.out_seq_stride + head * params.out_head_stride + row,
                   value);
      continue;
    }
    const int64_t index =
        (item.sequence * params.num_heads + head) * args.num_partitions + item.partition;
    StoreElement(args.scratch.tmp_element, args.scratch.tmp_out, index * Shape::kHeadSize + row,
                 value);
    if (row == 0) {
      args.scratch.max_logits[index] = max;
      args.scratch.exp_sums[index] = sum;
    }
  }
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_EPILOGUE_CUH_
