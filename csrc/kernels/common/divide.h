// Division and logarithms of whole numbers, rounded up.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_DIVIDE_H_
#define STABLEKV_CSRC_KERNELS_COMMON_DIVIDE_H_

#include <cstdint>

namespace stablekv {

// a / b, for a >= 0 and b > 0.
constexpr int64_t CeilDivide(int64_t a, int64_t b) { return a / b + (a % b != 0 ? 1 : 0); }

// The least b with 2^b >= n, for n up to 2^62.
constexpr int CeilLog2(int64_t n) {
  int log = 0;
  while ((int64_t{1} << log) < n) ++log;
  return log;
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_COMMON_DIVIDE_H_
