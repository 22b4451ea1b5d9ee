#include "csrc/kernels/common/divide.h"

#include <cstdint>
#include <limits>

#include "csrc/kernels/common/testing.h"

int main() {
  using stablekv::CeilDivide;
  using stablekv::CeilLog2;
  for (int64_t b = 1; b < 40; ++b) {
    for (int64_t a = 0; a < 200; ++a) {
      const int64_t quotient = CeilDivide(a, b);
      CHECK_THAT(quotient * b >= a && (quotient - 1) * b < a, a << " / " << b << ": " << quotient);
    }
  }
  const int64_t most = std::numeric_limits<int64_t>::max();
  CHECK_THAT(CeilDivide(most, 2) == most / 2 + 1, "no overflow");
  CHECK_THAT(CeilLog2(0) == 0 && CeilLog2(1) == 0 && CeilLog2(2) == 1 && CeilLog2(3) == 2, "small");
  for (int b = 2; b <= 62; ++b) {
    const int64_t power = int64_t{1} << b;
    CHECK_THAT(CeilLog2(power) == b && CeilLog2(power - 1) == b, power);
    CHECK_THAT(b == 62 || CeilLog2(power + 1) == b + 1, power + 1);
  }
  return stablekv::testing::Finish();
}
