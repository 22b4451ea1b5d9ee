// Scores of one step's tokens, and their weights by a running softmax.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_MMA_SCORES_CUH_
#define STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_MMA_SCORES_CUH_

#include <cmath>
#include <cstdint>

#include "csrc/kernels/attention/cuda/mma/mma_query.cuh"
#include "csrc/kernels/attention/cuda/mma/mma_shape.cuh"

namespace stablekv {

// A product of a tile of 16 tokens with the heads: lane (g, t) holds rows g and g + 8, that is
// tokens TokenOfRow(g) and TokenOfRow(g + 8), of heads 2t and 2t + 1: [2 * (row / 8) + head % 2].
template <typename Shape>
using ScoreTiles = float[Shape::kRowTiles][4];

// Token of the step, in the lane's row `half` of tile `tile`.
template <typename Shape>
__device__ __forceinline__ int TokenOf(int tile, int half, int lane) {
  return 16 * tile + Shape::Traits::TokenOfRow(8 * half + lane / 4);
}

// scores = dot products of the tile of keys at `keys` with the queries.
template <typename Shape>
__device__ __forceinline__ void ScoreKeys(uint32_t keys, int block_shift,
                                          const MmaQuery<Shape>& query, int lane,
                                          ScoreTiles<Shape>& scores) {
  using Traits = typename Shape::Traits;
  // Lanes 0 to 15 name the rows of a chunk, lanes 16 to 31 those of the next.
  const int chunk_bytes = 16 << block_shift;  // from chunk to chunk
  const int second = lane / 16;
  uint32_t rows[Shape::kRowTiles];
#pragma unroll
  for (int tile = 0; tile < Shape::kRowTiles; ++tile) {
    const int token = 16 * tile + Traits::TokenOfRow(lane % 16);
    const int block = token >> block_shift;
    const int offset = token & ((1 << block_shift) - 1);
    rows[tile] = keys + block * (Shape::kChunks * chunk_bytes) + second * chunk_bytes + offset * 16;
#pragma unroll
    for (int i = 0; i < 4; ++i) scores[tile][i] = 0.0f;
  }
#pragma unroll
  for (int chunk = 0; chunk < Shape::kChunks; chunk += 2) {
    const bool single = chunk + 1 == Shape::kChunks;
#pragma unroll
    for (int tile = 0; tile < Shape::kRowTiles; ++tile) {
      // The last chunk of an odd number has no second one.
      const uint32_t row = rows[tile] + chunk * chunk_bytes - (single ? second * chunk_bytes : 0);
      uint32_t a[4];
      LoadMatrices(row, a);
      if constexpr (Shape::kElementBytes == 2) {
        Mma<typename Shape::Operand>::Add(scores[tile], a[0], a[1], single ? 0 : a[2],
                                          single ? 0 : a[3], query.words[chunk / 2]);
      } else {
        Mma<typename Shape::Operand>::Add(scores[tile], Traits::WidenLow(a[0]),
                                          Traits::WidenLow(a[1]), Traits::WidenHigh(a[0]),
                                          Traits::WidenHigh(a[1]), query.words[chunk]);
        if (!single) {
          Mma<typename Shape::Operand>::Add(scores[tile], Traits::WidenLow(a[2]),
                                            Traits::WidenLow(a[3]), Traits::WidenHigh(a[2]),
                                            Traits::WidenHigh(a[3]), query.words[chunk + 1]);
        }
      }
    }
  }
}

// What makes a logit, to base 2, of a score, for the lane's two heads.
struct LogitScale {
  float factor[2];
  float slope[2];   // per token of distance; zeros without ALiBi
  bool has_slopes;  // the same in all lanes

  // The heads' factors undo `unscale`, which is of head lane / 4.
  __device__ __forceinline__ LogitScale(const PagedAttentionParams& params, const MmaItem& item,
                                        float key_scale, float unscale, int lane) {
    constexpr float kLog2E = 1.4426950408889634f;
    has_slopes = params.alibi_slopes != nullptr;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int head = lane % 4 * 2 + i;
      factor[i] = params.scale * key_scale * kLog2E * __shfl_sync(kFullWarp, unscale, 4 * head);
      slope[i] = has_slopes && head < item.num_heads
                     ? params.alibi_slopes[item.first_head + head] * kLog2E
                     : 0.0f;
    }
  }
};

// The weights of a step as the operand that multiplies the values: their nearest Operand and the
// nearest to what that leaves.
template <typename Shape>
struct WeightTiles {
  uint32_t high[Shape::kRowTiles][2];
  uint32_t low[Shape::kRowTiles][2];
};

// The softmax of the tokens that a warp has seen, for the lane's heads 2t and 2t + 1. `max` is the
// same in all lanes that share a head, `sum` is the lane's part.
template <typename Shape>
struct MmaSoftmax {
  float max[2] = {-INFINITY, -INFINITY};
  float sum[2] = {0.0f, 0.0f};

  // What exponents are taken against: 0 as long as no token is attended to.
  static __device__ __forceinline__ float BaseOf(float max) {
    return max == -INFINITY ? 0.0f : max;
  }

  // Takes in a step's scores. `distance` is from the step's first token to the sequence's last.
  // Sets the weights relative to the new maximum, times 2^kWeightExponent, and the factors for what
  // was accumulated before. Whether any of the factors of the warp is not 1.
  __device__ __forceinline__ bool Update(const LogitScale& scale, uint64_t attended, float distance,
                                         int lane, ScoreTiles<Shape>& scores,
                                         WeightTiles<Shape>& weights, float (&factors)[2]) {
    ToLogits(scale, attended, distance, lane, scores);
    bool moved = false;
    float base[2];
#pragma unroll
    for (int head = 0; head < 2; ++head) {
      float step_max = scores[0][head];
#pragma unroll
      for (int i = 1; i < 2 * Shape::kRowTiles; ++i) {
        step_max = fmaxf(step_max, scores[i / 2][i % 2 * 2 + head]);
      }
#pragma unroll
      for (int mask = 4; mask < 32; mask *= 2) {
        step_max = fmaxf(step_max, __shfl_xor_sync(kFullWarp, step_max, mask));
      }
      const float new_max = fmaxf(max[head], step_max);
      moved |= new_max != max[head];
      base[head] = BaseOf(new_max);
      factors[head] = Exp2(max[head] - base[head]);
      sum[head] *= factors[head];
      max[head] = new_max;
      base[head] -= static_cast<float>(Shape::Traits::kWeightExponent);
    }
#pragma unroll
    for (int tile = 0; tile < Shape::kRowTiles; ++tile) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float weight[2];
#pragma unroll
        for (int head = 0; head < 2; ++head) {
          weight[head] = Exp2(scores[tile][2 * half + head] - base[head]);
          sum[head] += weight[head];
        }
        const uint32_t high = Mma<typename Shape::Operand>::Pack(weight[0], weight[1]);
        const float2 rounded = Mma<typename Shape::Operand>::Unpack(high);
        const uint32_t low =
            Mma<typename Shape::Operand>::Pack(weight[0] - rounded.x, weight[1] - rounded.y);
        weights.high[tile][half] = Transpose(high);
        weights.low[tile][half] = Transpose(low);
      }
    }
    return __any_sync(kFullWarp, moved);
  }

  // The sums over all lanes that share a head.
  __device__ __forceinline__ void Finish() {
#pragma unroll
    for (int head = 0; head < 2; ++head) {
#pragma unroll
      for (int mask = 4; mask < 32; mask *= 2) {
        sum[head] += __shfl_xor_sync(kFullWarp, sum[head], mask);
      }
    }
  }

 private:
  static __device__ __forceinline__ void ToLogits(const LogitScale& scale, uint64_t attended,
                                                  float distance, int lane,
                                                  ScoreTiles<Shape>& scores) {
#pragma unroll
    for (int tile = 0; tile < Shape::kRowTiles; ++tile) {
#pragma unroll
      for (int i = 0; i < 4; ++i) scores[tile][i] *= scale.factor[i % 2];
    }
    if (scale.has_slopes) {
#pragma unroll
      for (int tile = 0; tile < Shape::kRowTiles; ++tile) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const float token = static_cast<float>(TokenOf<Shape>(tile, i / 2, lane));
          scores[tile][i] = fmaf(scale.slope[i % 2], token - distance, scores[tile][i]);
        }
      }
    }
    if (attended == Shape::kAllAttended) return;
#pragma unroll
    for (int tile = 0; tile < Shape::kRowTiles; ++tile) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        if ((attended >> TokenOf<Shape>(tile, i / 2, lane) & 1) == 0) scores[tile][i] = -INFINITY;
      }
    }
  }
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_MMA_SCORES_CUH_
