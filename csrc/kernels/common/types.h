// Element types of the tensors that kernels read and write.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_TYPES_H_
#define STABLEKV_CSRC_KERNELS_COMMON_TYPES_H_

#include <cstdint>

namespace stablekv {

// Type of queries, keys, values and outputs.
enum class ElementType : int8_t { kFloat32, kFloat16, kBFloat16 };

// How a cache stores an element: as it is (kAuto), or as one byte `fp8(x / scale)`.
enum class CacheType : int8_t { kAuto, kFp8E4M3, kFp8E5M2 };

// Bytes of one element of type `type`.
constexpr int64_t SizeOf(ElementType type) { return type == ElementType::kFloat32 ? 4 : 2; }

// Bytes of one cache element, for a source of type `element`.
constexpr int64_t SizeOf(CacheType cache, ElementType element) {
  return cache == CacheType::kAuto ? SizeOf(element) : 1;
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_COMMON_TYPES_H_
