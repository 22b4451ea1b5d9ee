// Weighted sums of values on the tensor core.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_MMA_VALUES_CUH_
#define STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_MMA_VALUES_CUH_

#include <cstdint>

#include "csrc/kernels/attention/cuda/mma/async_copy.cuh"
#include "csrc/kernels/attention/cuda/mma/mma_ops.cuh"
#include "csrc/kernels/attention/cuda/mma/mma_scores.cuh"
#include "csrc/kernels/attention/cuda/mma/mma_shape.cuh"
#include "csrc/kernels/attention/cuda/mma/shared_memory.cuh"
#include "csrc/kernels/attention/cuda/mma/value_chunks.h"
#include "csrc/kernels/common/cuda/warp.cuh"

namespace stablekv {

// Zeroes the values of tokens that are not attended to: a weight of 0 does not silence a NaN. The
// last step of most sequences needs it.
template <typename Shape>
__device__ __forceinline__ void ClearUnattended(uint32_t values, int block_shift, uint64_t attended,
                                                int lane) {
  using Chunks = ValueChunks<Shape::kHeadSize, Shape::kElementBytes, Shape::kPairs>;
#pragma unroll 1
  for (int token = 0; token < Shape::kStepTokens; token += Chunks::kTokens) {
    const uint32_t kept = Chunks::AttendedAt(attended, token);
    if (kept == Chunks::kAllAttended) continue;
    uint32_t mask[4];
#pragma unroll
    for (int word = 0; word < 4; ++word) mask[word] = Chunks::KeptWord(kept, word);
#pragma unroll 1
    for (int row = lane; row < Chunks::kRows; row += 32) {
      AndShared(values + 16 * Chunks::ChunkAt(token, row, block_shift), mask);
    }
  }
  FenceBulkCopies();  // before the tile's place is filled anew
  __syncwarp();
}

// The part of the output that comes from the tokens a warp has seen. Lane (g, t) holds two elements
// of 16 * step on, ElementOf(g, 0) and ElementOf(g, 1), of heads 2t and 2t + 1 of each product:
// [product][step][2 * half + head % 2].
template <typename Shape>
struct MmaSums {
  float sums[Shape::kProducts][Shape::kHeadSteps][4];

  // Which element of a step is row `row` of `half` of the product.
  static __device__ __forceinline__ constexpr int ElementOf(int row, int half) {
    return Shape::kPairs ? 2 * row + half : 8 * half + row;
  }

  __device__ __forceinline__ void Clear() {
#pragma unroll
    for (int p = 0; p < Shape::kProducts; ++p) {
#pragma unroll
      for (int i = 0; i < 4 * Shape::kHeadSteps; ++i) sums[p][i / 4][i % 4] = 0.0f;
    }
  }

  __device__ __forceinline__ void Scale(const OfHeads<Shape>& factors) {
#pragma unroll
    for (int p = 0; p < Shape::kProducts; ++p) {
#pragma unroll
      for (int i = 0; i < 4 * Shape::kHeadSteps; ++i) sums[p][i / 4][i % 4] *= factors[p][i % 2];
    }
  }

  // Adds the tile of values at `values`.
  __device__ __forceinline__ void Add(uint32_t values, int block_shift,
                                      const WeightTiles<Shape>& weights, int lane) {
    if constexpr (Shape::kPairs) {
      AddPairs(values, weights, lane);
      return;
    }
    using Traits = typename Shape::Traits;
    const int row_bytes = Shape::kElementBytes << block_shift;  // an element over a block's tokens
    // A load takes 16 bytes of tokens of 8 elements, four times: lanes 8 to 15 and 24 to 31 name
    // the upper 8 of 16 elements, lanes 16 to 31 the next tokens.
    constexpr int kTokensPerRow = 16 / Shape::kElementBytes;
    constexpr int kLoads = Shape::kRowTiles * Shape::kElementBytes / 2;
    const int element = lane % 16;
    uint32_t rows[kLoads];
#pragma unroll
    for (int load = 0; load < kLoads; ++load) {
      const int token = (2 * load + lane / 16) * kTokensPerRow;
      const int block = token >> block_shift;
      const int offset = token & ((1 << block_shift) - 1);
      rows[load] =
          values + (block * Shape::kHeadSize + element) * row_bytes + offset * Shape::kElementBytes;
    }
#pragma unroll
    for (int step = 0; step < Shape::kHeadSteps; ++step) {
      // Elements past the head's end are other ones, whose sums nobody reads.
      const bool cut = 16 * step + 16 > Shape::kHeadSize;
      const uint32_t ahead = 16 * step * row_bytes - (cut && element >= 8 ? 8 * row_bytes : 0);
#pragma unroll
      for (int load = 0; load < kLoads; ++load) {
        uint32_t a[4];
        LoadMatrices(rows[load] + ahead, a);
        if constexpr (Shape::kElementBytes == 2) {
          AddBoth(step, load, weights, a[0], a[1], a[2], a[3]);
        } else {
#pragma unroll
          for (int half = 0; half < 2; ++half) {
            AddBoth(step, 2 * load + half, weights, Traits::WidenLow(a[2 * half]),
                    Traits::WidenLow(a[2 * half + 1]), Traits::WidenHigh(a[2 * half]),
                    Traits::WidenHigh(a[2 * half + 1]));
          }
        }
      }
    }
  }

 private:
  // Adds a tile of fp8 values of blocks of 8 tokens. A load takes 16 elements of four blocks; a
  // lane gets four tokens of element 2 * (lane / 4), or of the next in the upper half of a quad.
  // Two blocks make 16 tokens once the halves of a quad have swapped what is of the other's
  // element.
  __device__ __forceinline__ void AddPairs(uint32_t values, const WeightTiles<Shape>& weights,
                                           int lane) {
    using Traits = typename Shape::Traits;
    constexpr int kBlockBytes = Shape::kHeadSize * kPairedBlockTokens;
    const bool upper = lane % 4 >= 2;
    const uint32_t row = values + lane / 8 * kBlockBytes + lane % 8 * 16;
#pragma unroll
    for (int step = 0; step < Shape::kHeadSteps; ++step) {
#pragma unroll
      for (int load = 0; load < Shape::kRowTiles / 2; ++load) {
        uint32_t blocks[4];
        LoadMatrices(row + load * 4 * kBlockBytes + step * 16 * kPairedBlockTokens, blocks);
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const uint32_t first = blocks[2 * half];
          const uint32_t second = blocks[2 * half + 1];
          const uint32_t other = __shfl_xor_sync(kFullWarp, upper ? first : second, 2);
          const uint32_t even = upper ? other : first;
          const uint32_t odd = upper ? second : other;
          AddBoth(step, 2 * load + half, weights, Traits::WidenLow(even), Traits::WidenLow(odd),
                  Traits::WidenHigh(even), Traits::WidenHigh(odd));
        }
      }
    }
  }

  __device__ __forceinline__ void AddBoth(int step, int tile, const WeightTiles<Shape>& weights,
                                          uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3) {
    using Product = Mma<typename Shape::Operand>;
#pragma unroll
    for (int p = 0; p < Shape::kProducts; ++p) {
      Product::Add(sums[p][step], a0, a1, a2, a3, weights.high[p][tile]);
      Product::Add(sums[p][step], a0, a1, a2, a3, weights.low[p][tile]);
    }
  }
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_MMA_VALUES_CUH_
