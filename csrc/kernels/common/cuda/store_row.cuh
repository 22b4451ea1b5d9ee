// Rows of elements on their way into a cache, shared out among threads.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_CUDA_STORE_ROW_CUH_
#define STABLEKV_CSRC_KERNELS_COMMON_CUDA_STORE_ROW_CUH_

#include <cstdint>

#include "csrc/kernels/common/cuda/number_format.cuh"
#include "csrc/kernels/common/types.h"

namespace stablekv {

inline constexpr int kWarpThreads = 32;

// What a cache stores for the bits of an element: the same, or fp8 of the quotient.
template <ElementType kElement, CacheType kCache>
__device__ __forceinline__ typename CacheFormat<kElement, kCache>::Bits StoredBits(
    typename ElementFormat<kElement>::Bits bits, float scale) {
  if constexpr (kCache == CacheType::kAuto) {
    return bits;
  } else {
    return CacheFormat<kElement, kCache>::Encode(
        __fdiv_rn(Decode<ElementFormat<kElement>>(bits), scale));
  }
}

// Numbers that are loaded or stored together, in 4, 8 or 16 bytes.
template <typename Bits, int kCount>
union Pack {
  static constexpr int kBytes = kCount * static_cast<int>(sizeof(Bits));
  static_assert(kBytes == 4 || kBytes == 8 || kBytes == 16);
  Bits numbers[kCount];
  uint32_t words[kBytes / 4];

  __device__ __forceinline__ void Load(const Bits* from) {
    if constexpr (kBytes == 16) {
      const uint4 loaded = *reinterpret_cast<const uint4*>(from);
      words[0] = loaded.x;
      words[1] = loaded.y;
      words[2] = loaded.z;
      words[3] = loaded.w;
    } else if constexpr (kBytes == 8) {
      const uint2 loaded = *reinterpret_cast<const uint2*>(from);
      words[0] = loaded.x;
      words[1] = loaded.y;
    } else {
      words[0] = *reinterpret_cast<const uint32_t*>(from);
    }
  }

  __device__ __forceinline__ void Store(Bits* to) const {
    if constexpr (kBytes == 16) {
      *reinterpret_cast<uint4*>(to) = make_uint4(words[0], words[1], words[2], words[3]);
    } else if constexpr (kBytes == 8) {
      *reinterpret_cast<uint2*>(to) = make_uint2(words[0], words[1]);
    } else {
      *reinterpret_cast<uint32_t*>(to) = words[0];
    }
  }
};

// Elements that a 16-byte load brings.
template <ElementType kElement>
inline constexpr int kElementsPerVector =
    16 / static_cast<int>(sizeof(typename ElementFormat<kElement>::Bits));

// The alignment, in bytes, that StoreRow's vectors ask of the row in the cache.
inline int64_t CacheVectorBytes(ElementType element, CacheType cache) {
  return 16 / SizeOf(element) * SizeOf(cache, element);
}

// Stores a row of `count` elements; thread `thread` of `num_threads` does its part. `vectors`: the
// source is aligned to 16 bytes and the target to CacheVectorBytes.
template <ElementType kElement, CacheType kCache>
__device__ __forceinline__ void StoreRow(
    const typename ElementFormat<kElement>::Bits* __restrict__ from,
    typename CacheFormat<kElement, kCache>::Bits* __restrict__ to, int64_t count, float scale,
    bool vectors, int thread, int num_threads) {
  int64_t first = 0;
  if (vectors) {
    constexpr int kCount = kElementsPerVector<kElement>;
    const int64_t num_vectors = count / kCount;
    for (int64_t i = thread; i < num_vectors; i += num_threads) {
      Pack<typename ElementFormat<kElement>::Bits, kCount> loaded;
      Pack<typename CacheFormat<kElement, kCache>::Bits, kCount> stored;
      loaded.Load(from + i * kCount);
#pragma unroll
      for (int j = 0; j < kCount; ++j) {
        stored.numbers[j] = StoredBits<kElement, kCache>(loaded.numbers[j], scale);
      }
      stored.Store(to + i * kCount);
    }
    first = num_vectors * kCount;
  }
  for (int64_t i = first + thread; i < count; i += num_threads) {
    to[i] = StoredBits<kElement, kCache>(from[i], scale);
  }
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_COMMON_CUDA_STORE_ROW_CUH_
