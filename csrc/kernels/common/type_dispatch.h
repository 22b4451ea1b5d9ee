// From the types of a call to the code that is compiled for them.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_TYPE_DISPATCH_H_
#define STABLEKV_CSRC_KERNELS_COMMON_TYPE_DISPATCH_H_

#include <string>
#include <type_traits>

#include "csrc/kernels/common/status.h"
#include "csrc/kernels/common/types.h"

namespace stablekv {

template <ElementType kElement>
using ElementConstant = std::integral_constant<ElementType, kElement>;
template <CacheType kCache>
using CacheConstant = std::integral_constant<CacheType, kCache>;

// run(ElementConstant<element>()). `what` runs is for the message, should there be no such type.
template <typename Run>
Status ForElement(const char* what, ElementType element, const Run& run) {
  switch (element) {
    case ElementType::kFloat32:
      return run(ElementConstant<ElementType::kFloat32>());
    case ElementType::kFloat16:
      return run(ElementConstant<ElementType::kFloat16>());
    case ElementType::kBFloat16:
      return run(ElementConstant<ElementType::kBFloat16>());
  }
  return Status::Error(std::string(what) + ": unknown element type");
}

// run(CacheConstant<cache>()).
template <typename Run>
Status ForCache(const char* what, CacheType cache, const Run& run) {
  switch (cache) {
    case CacheType::kAuto:
      return run(CacheConstant<CacheType::kAuto>());
    case CacheType::kFp8E4M3:
      return run(CacheConstant<CacheType::kFp8E4M3>());
    case CacheType::kFp8E5M2:
      return run(CacheConstant<CacheType::kFp8E5M2>());
  }
  return Status::Error(std::string(what) + ": unknown cache type");
}

// run(CacheConstant<cache>()) of an fp8 cache.
template <typename Run>
Status ForFp8(const char* what, CacheType cache, const Run& run) {
  if (cache == CacheType::kFp8E4M3) return run(CacheConstant<CacheType::kFp8E4M3>());
  if (cache == CacheType::kFp8E5M2) return run(CacheConstant<CacheType::kFp8E5M2>());
  return Status::Error(std::string(what) + ": not an fp8 cache");
}

// run(ElementConstant<element>(), CacheConstant<cache>()).
template <typename Run>
Status ForTypes(const char* what, ElementType element, CacheType cache, const Run& run) {
  return ForElement(what, element, [&](auto element_constant) {
    return ForCache(what, cache,
                    [&](auto cache_constant) { return run(element_constant, cache_constant); });
  });
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_COMMON_TYPE_DISPATCH_H_
