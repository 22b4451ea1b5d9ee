// How an element lies in memory, as the vector units' load and store functions tell it apart.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_VEC_FORMAT_H_
#define STABLEKV_CSRC_KERNELS_COMMON_VEC_FORMAT_H_

#include <cstdint>

#include "csrc/kernels/common/types.h"

namespace stablekv {

enum class VecFormat : int8_t { kFloat32, kFloat16, kBFloat16, kFp8E4M3, kFp8E5M2 };

// `static`: the files of the vector units must not share the symbol of a function.
static constexpr int64_t BytesOf(VecFormat format) {
  return format == VecFormat::kFloat32 ? 4 : format >= VecFormat::kFp8E4M3 ? 1 : 2;
}

constexpr VecFormat VecFormatOf(ElementType element) {
  return element == ElementType::kFloat32   ? VecFormat::kFloat32
         : element == ElementType::kFloat16 ? VecFormat::kFloat16
                                            : VecFormat::kBFloat16;
}

constexpr VecFormat VecFormatOf(CacheType cache, ElementType element) {
  return cache == CacheType::kAuto      ? VecFormatOf(element)
         : cache == CacheType::kFp8E4M3 ? VecFormat::kFp8E4M3
                                        : VecFormat::kFp8E5M2;
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_COMMON_VEC_FORMAT_H_
