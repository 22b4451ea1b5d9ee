// Dot products of a tile of query heads with the keys of one step.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_KEY_SCORES_CUH_
#define STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_KEY_SCORES_CUH_

#include <cstdint>

#include "csrc/kernels/attention/cuda/block_walk.cuh"
#include "csrc/kernels/attention/cuda/decode_shape.cuh"
#include "csrc/kernels/common/cuda/number_format.cuh"

namespace stablekv {

// Puts the tile's queries into shared memory as float32. By the whole CTA; no barrier at the end.
template <typename Shape>
__device__ void StageQuery(const PagedAttentionParams& params, const WorkItem& item,
                           float (&query)[Shape::kHeads][Shape::kPaddedHeadSize]) {
  constexpr int kSize = Shape::kHeads * Shape::kPaddedHeadSize;
  for (int i = threadIdx.x; i < kSize; i += kDecodeThreads) {
    const int head = i / Shape::kPaddedHeadSize;
    const int element = i % Shape::kPaddedHeadSize;
    float value = 0.0f;
    if (head < item.num_heads && element < Shape::kHeadSize) {
      value = LoadElement(params.element, params.query,
                          item.sequence * params.query_seq_stride +
                              (item.first_head + head) * params.query_head_stride + element);
    }
    query[head][element] = value;
  }
}

// scores[h][j] = dot(query[h], key of token j of the lane); a key of null reads as zeros. A key
// points at the first chunk of its token, further chunks lie `chunk_stride` elements on.
template <typename Shape>
__device__ __forceinline__ void ScoreKeys(
    const float (&query)[Shape::kHeads][Shape::kPaddedHeadSize],
    const typename Shape::Bits* const (&keys)[Shape::kTokensPerLane], int chunk_stride,
    bool vectors, float (&scores)[Shape::kHeads][Shape::kTokensPerLane]) {
  constexpr int kX = Shape::kX;
#pragma unroll
  for (int h = 0; h < Shape::kHeads; ++h) {
#pragma unroll
    for (int j = 0; j < Shape::kTokensPerLane; ++j) scores[h][j] = 0.0f;
  }
#pragma unroll 1
  for (int batch = 0; batch < Shape::kKeyBatches; ++batch) {
    const int first_chunk = batch * Shape::kKeyBatch;
    typename Shape::KeyChunk chunks[Shape::kTokensPerLane][Shape::kKeyBatch];
#pragma unroll
    for (int j = 0; j < Shape::kTokensPerLane; ++j) {
#pragma unroll
      for (int c = 0; c < Shape::kKeyBatch; ++c) {
        chunks[j][c].Clear();
        if (keys[j] == nullptr || first_chunk + c >= Shape::kKeyChunks) continue;
        const auto* source = keys[j] + (first_chunk + c) * chunk_stride;
        if (vectors) {
          chunks[j][c].LoadVector(source);
        } else {
          chunks[j][c].LoadElements(source);
        }
      }
    }
#pragma unroll
    for (int c = 0; c < Shape::kKeyBatch; ++c) {
      float key[Shape::kTokensPerLane][kX];
#pragma unroll
      for (int j = 0; j < Shape::kTokensPerLane; ++j) chunks[j][c].Decode(key[j]);
#pragma unroll
      for (int h = 0; h < Shape::kHeads; ++h) {
        const auto* q = reinterpret_cast<const float4*>(&query[h][(first_chunk + c) * kX]);
#pragma unroll
        for (int i = 0; i < kX / 4; ++i) {
          const float4 part = q[i];
#pragma unroll
          for (int j = 0; j < Shape::kTokensPerLane; ++j) {
            float sum = scores[h][j];
            sum = fmaf(part.x, key[j][4 * i], sum);
            sum = fmaf(part.y, key[j][4 * i + 1], sum);
            sum = fmaf(part.z, key[j][4 * i + 2], sum);
            sum = fmaf(part.w, key[j][4 * i + 3], sum);
            scores[h][j] = sum;
          }
        }
      }
    }
  }
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_KEY_SCORES_CUH_
