// Scores of one step's tokens, and their weights by a running softmax.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_MMA_SCORES_CUH_
#define STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_MMA_SCORES_CUH_

#include <cmath>
#include <cstdint>

#include "csrc/kernels/attention/cuda/mma/mma_ops.cuh"
#include "csrc/kernels/attention/cuda/mma/mma_query.cuh"
#include "csrc/kernels/attention/cuda/mma/mma_shape.cuh"
#include "csrc/kernels/common/cuda/warp.cuh"

namespace stablekv {

// 2 to the power of x, with a relative error of 2^-22; 0 at -inf.
__device__ __forceinline__ float Exp2(float x) {
  float power;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x));
  return power;
}

// Products of a tile of 16 tokens with the heads: lane (g, t) holds rows g and g + 8, that is
// tokens TokenOfRow(g) and TokenOfRow(g + 8), of heads 2t and 2t + 1 of each product:
// [product][tile][2 * (row / 8) + head % 2].
template <typename Shape>
using ScoreTiles = float[Shape::kProducts][Shape::kRowTiles][4];

// A number for each of the lane's heads.
template <typename Shape>
using OfHeads = float[Shape::kProducts][2];

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
    for (int i = 0; i < 4 * Shape::kProducts; ++i) scores[i / 4][tile][i % 4] = 0.0f;
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
      const auto add = [&](int step, uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3) {
#pragma unroll
        for (int p = 0; p < Shape::kProducts; ++p) {
          Mma<typename Shape::Operand>::Add(scores[p][tile], a0, a1, a2, a3, query.words[p][step]);
        }
      };
      if constexpr (Shape::kElementBytes == 2) {
        add(chunk / 2, a[0], a[1], single ? 0 : a[2], single ? 0 : a[3]);
      } else {
        add(chunk, Traits::WidenLow(a[0]), Traits::WidenLow(a[1]), Traits::WidenHigh(a[0]),
            Traits::WidenHigh(a[1]));
        if (!single) {
          add(chunk + 1, Traits::WidenLow(a[2]), Traits::WidenLow(a[3]), Traits::WidenHigh(a[2]),
              Traits::WidenHigh(a[3]));
        }
      }
    }
  }
}

// What makes a logit, to base 2, of a score, for the lane's heads.
template <typename Shape>
struct LogitScale {
  OfHeads<Shape> factor;
  OfHeads<Shape> slope;  // per token of distance; zeros without ALiBi
  bool has_slopes;       // the same in all lanes

  // The heads' factors undo the query's `unscale`, which is of head lane / 4 of each product.
  __device__ __forceinline__ LogitScale(const PagedAttentionParams& params, const MmaItem& item,
                                        float key_scale, const MmaQuery<Shape>& query, int lane) {
    constexpr float kLog2E = 1.4426950408889634f;
    has_slopes = params.alibi_slopes != nullptr;
#pragma unroll
    for (int p = 0; p < Shape::kProducts; ++p) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int column = lane % 4 * 2 + i;
        const int head = kMmaHeads * p + column;
        factor[p][i] = params.scale * key_scale * kLog2E *
                       __shfl_sync(kFullWarp, query.unscale[p], 4 * column);
        slope[p][i] = has_slopes && head < item.num_heads
                          ? params.alibi_slopes[item.first_head + head] * kLog2E
                          : 0.0f;
      }
    }
  }
};

// The weights of a step as the operand that multiplies the values: as much of them as an Operand
// holds, cut off, and the nearest to what that leaves, but no less than the least number. So an Inf
// that they multiply stays Inf: it meets no second 0 and no second sign.
template <typename Shape>
struct WeightTiles {
  uint32_t high[Shape::kProducts][Shape::kRowTiles][2];
  uint32_t low[Shape::kProducts][Shape::kRowTiles][2];
};

// The softmax of the tokens that a warp has seen, for the lane's heads 2t and 2t + 1 of each
// product. `max` is the same in all lanes that share a head, `sum` is the lane's part.
template <typename Shape>
struct MmaSoftmax {
  OfHeads<Shape> max;
  OfHeads<Shape> sum;

  __device__ __forceinline__ MmaSoftmax() {
#pragma unroll
    for (int i = 0; i < Shape::kProducts * 2; ++i) {
      max[i / 2][i % 2] = -INFINITY;
      sum[i / 2][i % 2] = 0.0f;
    }
  }

  // What weights and their sums are relative to, given the largest logit: that much less, that the
  // largest weight is 2^kWeightExponent, or less where float32 is too coarse for that. -inf as long
  // as no token is attended to.
  static __device__ __forceinline__ float BaseOf(float max) {
    constexpr int kExponent = Shape::Traits::kWeightExponent;
    return kExponent == 0 ? max : __fadd_ru(max, -static_cast<float>(kExponent));
  }

  // Takes in a step's scores. `distance` is from the step's first token to the sequence's last.
  // Sets the weights relative to the new base, and the factors for what was accumulated before.
  // Returns whether any of the warp's maxima rose, so that a factor may not be 1.
  __device__ __forceinline__ bool Update(const LogitScale<Shape>& scale, uint64_t attended,
                                         float distance, int lane, ScoreTiles<Shape>& scores,
                                         WeightTiles<Shape>& weights, OfHeads<Shape>& factors) {
    bool moved = false;
#pragma unroll
    for (int p = 0; p < Shape::kProducts; ++p) {
      ToLogits(scale, p, attended, distance, lane, scores[p]);
      float base[2];
#pragma unroll
      for (int head = 0; head < 2; ++head) {
        const float new_max = fmaxf(max[p][head], MaxOf(scores[p], head));
        moved |= new_max != max[p][head];
        base[head] = new_max == -INFINITY ? 0.0f : BaseOf(new_max);
        factors[p][head] = Exp2(BaseOf(max[p][head]) - base[head]);
        sum[p][head] *= factors[p][head];
        max[p][head] = new_max;
      }
      Weigh(scores[p], base, p, weights);
    }
    return __any_sync(kFullWarp, moved);
  }

  // The sums over all lanes that share a head.
  __device__ __forceinline__ void Finish() {
#pragma unroll
    for (int p = 0; p < Shape::kProducts; ++p) {
#pragma unroll
      for (int head = 0; head < 2; ++head) {
#pragma unroll
        for (int mask = 4; mask < 32; mask *= 2) {
          sum[p][head] += __shfl_xor_sync(kFullWarp, sum[p][head], mask);
        }
      }
    }
  }

 private:
  using Scores = float[Shape::kRowTiles][4];  // of one product

  // The largest logit of a head of the lane in the step.
  static __device__ __forceinline__ float MaxOf(const Scores& logits, int head) {
    float largest = logits[0][head];
#pragma unroll
    for (int i = 1; i < 2 * Shape::kRowTiles; ++i) {
      largest = fmaxf(largest, logits[i / 2][i % 2 * 2 + head]);
    }
#pragma unroll
    for (int mask = 4; mask < 32; mask *= 2) {
      largest = fmaxf(largest, __shfl_xor_sync(kFullWarp, largest, mask));
    }
    return largest;
  }

  __device__ __forceinline__ void Weigh(const Scores& logits, const float (&base)[2], int p,
                                        WeightTiles<Shape>& weights) {
    using Product = Mma<typename Shape::Operand>;
#pragma unroll
    for (int tile = 0; tile < Shape::kRowTiles; ++tile) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float weight[2];
#pragma unroll
        for (int head = 0; head < 2; ++head) {
          weight[head] = Exp2(logits[tile][2 * half + head] - base[head]);
          sum[p][head] += weight[head];
        }
        const uint32_t high = Product::Cut(weight[0], weight[1]);
        const float2 cut = Product::Unpack(high);
        const uint32_t low = Product::Pack(fmaxf(weight[0] - cut.x, Product::kLeast),
                                           fmaxf(weight[1] - cut.y, Product::kLeast));
        weights.high[p][tile][half] = Transpose(high);
        weights.low[p][tile][half] = Transpose(low);
      }
    }
  }

  static __device__ __forceinline__ void ToLogits(const LogitScale<Shape>& scale, int p,
                                                  uint64_t attended, float distance, int lane,
                                                  Scores& scores) {
#pragma unroll
    for (int tile = 0; tile < Shape::kRowTiles; ++tile) {
#pragma unroll
      for (int i = 0; i < 4; ++i) scores[tile][i] *= scale.factor[p][i % 2];
    }
    if (scale.has_slopes) {
#pragma unroll
      for (int tile = 0; tile < Shape::kRowTiles; ++tile) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const float token = static_cast<float>(TokenOf<Shape>(tile, i / 2, lane));
          scores[tile][i] = fmaf(scale.slope[p][i % 2], token - distance, scores[tile][i]);
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
