// Number formats on the device: what the bits of an element or of a cache element mean.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_CUDA_NUMBER_FORMAT_CUH_
#define STABLEKV_CSRC_KERNELS_COMMON_CUDA_NUMBER_FORMAT_CUH_

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

#include "csrc/kernels/common/cuda/fp8.cuh"
#include "csrc/kernels/common/types.h"

namespace stablekv {

// A format has
//   Bits                      the unsigned integer that holds one number
//   Encode(float) -> Bits     nearest, ties to even; fp8 saturates and keeps no sign of a NaN
//   DecodeWord(word, out)     the 4 / sizeof(Bits) numbers of a 32-bit word, exactly
struct Float32Format {
  using Bits = uint32_t;
  static __device__ __forceinline__ Bits Encode(float value) { return __float_as_uint(value); }
  static __device__ __forceinline__ void DecodeWord(uint32_t word, float* out) {
    out[0] = __uint_as_float(word);
  }
};

struct Float16Format {
  using Bits = uint16_t;
  static __device__ __forceinline__ Bits Encode(float value) {
    return __half_as_ushort(__float2half_rn(value));
  }
  static __device__ __forceinline__ void DecodeWord(uint32_t word, float* out) {
    const float2 pair = __half22float2(*reinterpret_cast<const __half2*>(&word));
    out[0] = pair.x;
    out[1] = pair.y;
  }
};

struct BFloat16Format {
  using Bits = uint16_t;
  static __device__ __forceinline__ Bits Encode(float value) {
    return __bfloat16_as_ushort(__float2bfloat16_rn(value));
  }
  static __device__ __forceinline__ void DecodeWord(uint32_t word, float* out) {
    out[0] = __uint_as_float(word << 16);
    out[1] = __uint_as_float(word & 0xffff0000u);
  }
};

template <int kExponentBits>
struct Fp8Format {
  using Bits = uint8_t;
  static __device__ __forceinline__ Bits Encode(float value) {
    return EncodeFp8<kExponentBits>(value);
  }
  static __device__ __forceinline__ void DecodeWord(uint32_t word, float* out) {
    const float2 low = DecodeFp8Pair<kExponentBits>(word & 0xffffu);
    const float2 high = DecodeFp8Pair<kExponentBits>(word >> 16);
    out[0] = low.x;
    out[1] = low.y;
    out[2] = high.x;
    out[3] = high.y;
  }
};

using Fp8E4M3Format = Fp8Format<4>;
using Fp8E5M2Format = Fp8Format<5>;

namespace internal {

template <ElementType kElement>
struct ElementFormatOf;
template <>
struct ElementFormatOf<ElementType::kFloat32> {
  using type = Float32Format;
};
template <>
struct ElementFormatOf<ElementType::kFloat16> {
  using type = Float16Format;
};
template <>
struct ElementFormatOf<ElementType::kBFloat16> {
  using type = BFloat16Format;
};

template <ElementType kElement, CacheType kCache>
struct CacheFormatOf : ElementFormatOf<kElement> {};
template <ElementType kElement>
struct CacheFormatOf<kElement, CacheType::kFp8E4M3> {
  using type = Fp8E4M3Format;
};
template <ElementType kElement>
struct CacheFormatOf<kElement, CacheType::kFp8E5M2> {
  using type = Fp8E5M2Format;
};

}  // namespace internal

// The format of an element, and that of a cache element of such a source.
template <ElementType kElement>
using ElementFormat = typename internal::ElementFormatOf<kElement>::type;
template <ElementType kElement, CacheType kCache>
using CacheFormat = typename internal::CacheFormatOf<kElement, kCache>::type;

// The number of these bits.
template <typename Format>
__device__ __forceinline__ float Decode(typename Format::Bits bits) {
  float numbers[4 / sizeof(bits)];
  Format::DecodeWord(bits, numbers);
  return numbers[0];
}

// Number `index` of an array of elements whose type is known at run time alone.
__device__ __forceinline__ float LoadElement(ElementType type, const void* array, int64_t index) {
  switch (type) {
    case ElementType::kFloat16:
      return Decode<Float16Format>(static_cast<const uint16_t*>(array)[index]);
    case ElementType::kBFloat16:
      return Decode<BFloat16Format>(static_cast<const uint16_t*>(array)[index]);
    default:
      return static_cast<const float*>(array)[index];
  }
}
__device__ __forceinline__ void StoreElement(ElementType type, void* array, int64_t index,
                                             float value) {
  switch (type) {
    case ElementType::kFloat16:
      static_cast<uint16_t*>(array)[index] = Float16Format::Encode(value);
      return;
    case ElementType::kBFloat16:
      static_cast<uint16_t*>(array)[index] = BFloat16Format::Encode(value);
      return;
    default:
      static_cast<float*>(array)[index] = value;
  }
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_COMMON_CUDA_NUMBER_FORMAT_CUH_
