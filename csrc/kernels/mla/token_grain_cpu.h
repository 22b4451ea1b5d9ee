// How many items of work are worth handing to another thread.
#ifndef STABLEKV_CSRC_KERNELS_MLA_TOKEN_GRAIN_CPU_H_
#define STABLEKV_CSRC_KERNELS_MLA_TOKEN_GRAIN_CPU_H_

#include <algorithm>
#include <cstdint>

namespace stablekv {

// The items of `bytes` bytes each that make up a thread's least share.
inline int64_t GrainOf(int64_t bytes) {
  constexpr int64_t kShareBytes = 64 * 1024;
  return std::max<int64_t>(1, kShareBytes / std::max<int64_t>(1, bytes));
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_MLA_TOKEN_GRAIN_CPU_H_
