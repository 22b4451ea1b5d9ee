// A run of cache elements that one thread loads at once and keeps in registers.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_CHUNK_CUH_
#define STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_CHUNK_CUH_

#include <cstdint>

#include "csrc/kernels/common/cuda/number_format.cuh"

namespace stablekv {

// kCount consecutive numbers of a format, 8 or 16 bytes.
template <typename Format, int kCount>
struct Chunk {
  using Bits = typename Format::Bits;
  static constexpr int kBytes = kCount * static_cast<int>(sizeof(Bits));
  static constexpr int kWords = kBytes / 4;
  static constexpr int kPerWord = 4 / static_cast<int>(sizeof(Bits));
  static_assert(kBytes == 8 || kBytes == 16);

  uint32_t words[kWords];

  __device__ __forceinline__ void Clear() {
#pragma unroll
    for (int i = 0; i < kWords; ++i) words[i] = 0;
  }

  // From an address that kBytes divides.
  __device__ __forceinline__ void LoadVector(const Bits* source) {
    if constexpr (kBytes == 16) {
      const uint4 value = __ldg(reinterpret_cast<const uint4*>(source));
      words[0] = value.x;
      words[1] = value.y;
      words[2] = value.z;
      words[3] = value.w;
    } else {
      const uint2 value = __ldg(reinterpret_cast<const uint2*>(source));
      words[0] = value.x;
      words[1] = value.y;
    }
  }

  // From any address of a Bits: one by one, shifted in from the top so that the loop stays rolled.
  __device__ __forceinline__ void LoadElements(const Bits* source) {
    constexpr int kShift = 8 * static_cast<int>(sizeof(Bits));
    Clear();
#pragma unroll 1
    for (int i = 0; i < kCount; ++i) {
      const uint32_t next = __ldg(source + i);
#pragma unroll
      for (int w = 0; w + 1 < kWords; ++w) {
        words[w] = __funnelshift_rc(words[w], words[w + 1], kShift);
      }
      words[kWords - 1] = __funnelshift_rc(words[kWords - 1], next, kShift);
    }
  }

  // Zeroes all but the first `count` numbers, whatever they hold.
  __device__ __forceinline__ void KeepFirst(int count) {
    constexpr int kBits = 8 * static_cast<int>(sizeof(Bits));
#pragma unroll
    for (int w = 0; w < kWords; ++w) {
      const int kept = min(max(count - w * kPerWord, 0), kPerWord) * kBits;
      words[w] &= __funnelshift_lc(0xffffffffu, 0u, kept);
    }
  }

  __device__ __forceinline__ void Decode(float (&numbers)[kCount]) const {
#pragma unroll
    for (int w = 0; w < kWords; ++w) Format::DecodeWord(words[w], numbers + w * kPerWord);
  }
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_CHUNK_CUH_
