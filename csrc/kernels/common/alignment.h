// Whether the rows of a tensor lie where wide accesses may begin.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_ALIGNMENT_H_
#define STABLEKV_CSRC_KERNELS_COMMON_ALIGNMENT_H_

#include <cstdint>
#include <initializer_list>

namespace stablekv {

// Whether a tensor of these strides, in bytes, has every row at a multiple of `bytes` bytes.
inline bool IsAligned(const void* tensor, std::initializer_list<int64_t> strides, int64_t bytes) {
  bool aligned = reinterpret_cast<uintptr_t>(tensor) % bytes == 0;
  for (const int64_t stride : strides) aligned &= stride % bytes == 0;
  return aligned;
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_COMMON_ALIGNMENT_H_
