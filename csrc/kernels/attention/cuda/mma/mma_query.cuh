// The queries of a tile of heads as an operand of the tensor core.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_MMA_QUERY_CUH_
#define STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_MMA_QUERY_CUH_

#include <cmath>
#include <cstdint>

#include "csrc/kernels/attention/cuda/mma/mma_item.cuh"
#include "csrc/kernels/attention/cuda/mma/mma_ops.cuh"
#include "csrc/kernels/attention/cuda/mma/mma_shape.cuh"
#include "csrc/kernels/common/cuda/number_format.cuh"
#include "csrc/kernels/common/cuda/warp.cuh"

namespace stablekv {

// Lane (g, t) of a warp, g = lane / 4, holds elements of head g of each product; zeros past the
// last head and past the head's end. In front of an fp8 cache the queries become float16, whose
// range is small: each head is brought to a maximum near 2^14 by a power of two, so that no element
// overflows and what is lost at the low end is below 2^-38 of the maximum.
template <typename Shape>
struct MmaQuery {
  uint32_t words[Shape::kProducts][Shape::kHeadSteps][2];
  float unscale[Shape::kProducts];  // of head g: what undoes the power of two in scores

  // Fetches the elements' bits, without waiting for them.
  __device__ __forceinline__ void Fetch(const PagedAttentionParams& params, const MmaItem& item,
                                        int lane) {
    const int t = lane % 4;
#pragma unroll
    for (int p = 0; p < Shape::kProducts; ++p) {
      const int head = kMmaHeads * p + lane / 4;
      const bool present = head < item.num_heads;
      const auto* const source = static_cast<const uint16_t*>(params.query) +
                                 item.sequence * params.query_seq_stride +
                                 (item.first_head + head) * params.query_head_stride;
#pragma unroll
      for (int j = 0; j < Shape::kHeadSteps; ++j) {
        uint32_t* const word = words[p][j];
        word[0] = word[1] = 0;
        const int first = 16 * j + Shape::Traits::ElementOfK(t, 0);
        const int second = 16 * j + Shape::Traits::ElementOfK(t, 2);
        if (!present || first >= Shape::kHeadSize) continue;
        if constexpr (Shape::kScaled) {  // neighbours: second == first + 2
          const uint2 both = *reinterpret_cast<const uint2*>(source + first);
          word[0] = both.x;
          word[1] = both.y;
        } else {
          word[0] = *reinterpret_cast<const uint32_t*>(source + first);
          if (second < Shape::kHeadSize) {
            word[1] = *reinterpret_cast<const uint32_t*>(source + second);
          }
        }
      }
    }
  }

  // Makes operands of the bits.
  __device__ __forceinline__ void Convert(ElementType element) {
#pragma unroll
    for (int p = 0; p < Shape::kProducts; ++p) {
      unscale[p] = 1.0f;
      if constexpr (Shape::kScaled) {
        if (element == ElementType::kBFloat16) {
          Narrow<BFloat16Format>(p);
        } else {
          Narrow<Float16Format>(p);
        }
      }
    }
  }

 private:
  template <typename ElementFormat>
  __device__ __forceinline__ void Narrow(int p) {
    float max = 0.0f;
#pragma unroll
    for (int j = 0; j < Shape::kHeadSteps; ++j) {
#pragma unroll
      for (int w = 0; w < 2; ++w) {
        max = fmaxf(max, fabsf(First<ElementFormat>(words[p][j][w])));
        max = fmaxf(max, fabsf(Second<ElementFormat>(words[p][j][w])));
      }
    }
    max = fmaxf(max, __shfl_xor_sync(kFullWarp, max, 1));
    max = fmaxf(max, __shfl_xor_sync(kFullWarp, max, 2));
    const int exponent = static_cast<int>(__float_as_uint(max) >> 23) - 127;
    const int power = min(14 - exponent, 126);  // 14 - 128 at least; zeros and subnormals: 126
    const float scale = __uint_as_float(static_cast<uint32_t>(127 + power) << 23);
    unscale[p] = __uint_as_float(static_cast<uint32_t>(127 - power) << 23);
#pragma unroll
    for (int j = 0; j < Shape::kHeadSteps; ++j) {
#pragma unroll
      for (int w = 0; w < 2; ++w) {
        words[p][j][w] = Mma<__half>::Pack(First<ElementFormat>(words[p][j][w]) * scale,
                                           Second<ElementFormat>(words[p][j][w]) * scale);
      }
    }
  }

  template <typename ElementFormat>
  static __device__ __forceinline__ float First(uint32_t word) {
    return Decode<ElementFormat>(static_cast<uint16_t>(word));
  }
  template <typename ElementFormat>
  static __device__ __forceinline__ float Second(uint32_t word) {
    return Decode<ElementFormat>(static_cast<uint16_t>(word >> 16));
  }
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_MMA_QUERY_CUH_
