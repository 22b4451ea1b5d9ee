// Weighted sums of values: the accumulators of a warp and how a step adds to them.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_VALUE_SUMS_CUH_
#define STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_VALUE_SUMS_CUH_

#include <cstdint>

#include "csrc/kernels/attention/cuda/decode_shape.cuh"
#include "csrc/kernels/common/cuda/warp.cuh"

namespace stablekv {

// sums[h][p]: the part of out[h][RowOf(p)] that comes from the tokens this lane has seen.
template <typename Shape>
class ValueSums {
 public:
  using Bits = typename Shape::Bits;

  // The element of the head that pass `pass` covers in this lane.
  static __device__ __forceinline__ int RowOf(int pass) {
    return pass * Shape::kRowsPerPass + static_cast<int>(threadIdx.x % 32) / Shape::kRowLanes;
  }
  // The tokens of a sub-step that this lane covers begin here.
  static __device__ __forceinline__ int FirstToken() {
    return static_cast<int>(threadIdx.x) % Shape::kRowLanes * Shape::kValueChunk;
  }

  __device__ __forceinline__ void Scale(int head, float factor) {
#pragma unroll
    for (int p = 0; p < Shape::kPasses; ++p) sums_[head][p] *= factor;
  }

  // Adds weights[h][t] * value for the `count` first of the lane's tokens of one sub-step. `values`
  // points at the first of them in row 0; rows lie `row_stride` elements apart. What the cache
  // holds past `count` has no influence, NaN neither.
  __device__ __forceinline__ void Add(const Bits* values, int count, int row_stride, bool vectors,
                                      const float* weights) {
#pragma unroll
    for (int first = 0; first < Shape::kPasses; first += kLoads) {
      AddRows(values, count, row_stride, vectors, weights, first);
    }
  }

  // The sum over the lanes that share a row; the same in each of them.
  __device__ __forceinline__ float Total(int head, int pass) const {
    float total = sums_[head][pass];
#pragma unroll
    for (int mask = 1; mask < Shape::kRowLanes; mask *= 2) {
      total += __shfl_xor_sync(kFullWarp, total, mask);
    }
    return total;
  }

 private:
  static constexpr int kLoads = Shape::kPasses < 8 ? Shape::kPasses : 8;  // in flight at once
  static constexpr int kGroup = 4;  // rows that share a read of the weights

  __device__ __forceinline__ void AddRows(const Bits* values, int count, int row_stride,
                                          bool vectors, const float* weights, int first) {
    typename Shape::ValueChunk chunks[kLoads];
#pragma unroll
    for (int i = 0; i < kLoads; ++i) {
      chunks[i].Clear();
      const int row = RowOf(first + i);
      if (count <= 0 || first + i >= Shape::kPasses || row >= Shape::kHeadSize) continue;
      if (vectors) {
        chunks[i].LoadVector(values + row * row_stride);
      } else {
        chunks[i].LoadElements(values + row * row_stride);
      }
    }
    if (count < Shape::kValueChunk) {
#pragma unroll
      for (int i = 0; i < kLoads; ++i) chunks[i].KeepFirst(count);
    }
#pragma unroll
    for (int group = 0; group < kLoads; group += kGroup) {
      float numbers[kGroup][Shape::kValueChunk];
#pragma unroll
      for (int i = 0; i < kGroup; ++i) {
        if (group + i < kLoads) chunks[group + i].Decode(numbers[i]);
      }
#pragma unroll
      for (int h = 0; h < Shape::kHeads; ++h) {
        float weight[Shape::kValueChunk];
#pragma unroll
        for (int t = 0; t < Shape::kValueChunk; t += 4) {
          const float4 part =
              *reinterpret_cast<const float4*>(weights + h * Shape::kStepTokens + t);
          weight[t] = part.x;
          weight[t + 1] = part.y;
          weight[t + 2] = part.z;
          weight[t + 3] = part.w;
        }
#pragma unroll
        for (int i = 0; i < kGroup; ++i) {
          if (group + i >= kLoads || first + group + i >= Shape::kPasses) continue;
          float& sum = sums_[h][first + group + i];
#pragma unroll
          for (int t = 0; t < Shape::kValueChunk; ++t) sum = fmaf(weight[t], numbers[i][t], sum);
        }
      }
    }
  }

  float sums_[Shape::kHeads][Shape::kPasses] = {};
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_VALUE_SUMS_CUH_
