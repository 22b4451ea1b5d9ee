// Division by a number that is known before a kernel is launched: a multiplication and a shift.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_DIVISOR_H_
#define STABLEKV_CSRC_KERNELS_COMMON_DIVISOR_H_

#include <cstdint>

#include "csrc/kernels/common/divide.h"

namespace stablekv {

// Divides numbers below 2^31 by `value`, 1 to 2^31 - 1. With 2^b the least power of two that is not
// below it and m = 2^(31 + b) / value, rounded up to a larger whole number, n * m exceeds
// 2^(31 + b) * n / value by less than 2^(31 + b) / value, which does not reach the next quotient.
class Divisor {
 public:
  Divisor() = default;
  explicit Divisor(uint32_t value)
      : value_(value),
        shift_(31 + static_cast<uint32_t>(CeilLog2(value))),
        multiplier_(static_cast<uint32_t>((uint64_t{1} << shift_) / value + 1)) {}

  // Works in device code too: nvcc's --expt-relaxed-constexpr.
  constexpr uint32_t Quotient(uint32_t n) const {
    return static_cast<uint32_t>(n * uint64_t{multiplier_} >> shift_);
  }
  constexpr uint32_t Remainder(uint32_t n, uint32_t quotient) const {
    return n - quotient * value_;
  }

 private:
  uint32_t value_ = 1;
  uint32_t shift_ = 31;
  uint32_t multiplier_ = (uint32_t{1} << 31) + 1;
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_COMMON_DIVISOR_H_
