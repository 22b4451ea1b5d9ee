#include "csrc/kernels/common/divisor.h"

#include <cstdint>

#include "csrc/kernels/common/testing.h"

namespace stablekv {
namespace {

constexpr uint32_t kMost = (uint32_t{1} << 31) - 1;

void TestDivisor(uint32_t value) {
  const Divisor divisor(value);
  const auto check = [&](uint32_t n) {
    const uint32_t quotient = divisor.Quotient(n);
    CHECK_THAT(quotient == n / value, n << " / " << value << " is " << quotient);
    CHECK_THAT(divisor.Remainder(n, quotient) == n % value, n << " % " << value);
  };
  for (uint32_t n = 0; n < 300; ++n) check(n);
  // Around multiples, where a quotient that is a little off shows.
  uint64_t state = value;
  for (int i = 0; i < 2000; ++i) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    const uint64_t multiple = (state >> 33) / value * value;
    for (const uint64_t n : {multiple - 1, multiple, multiple + 1, multiple + value - 1}) {
      if (n <= kMost) check(static_cast<uint32_t>(n));
    }
  }
  const uint64_t last = kMost / value * uint64_t{value};
  for (const uint64_t n : {last - 1, last, uint64_t{kMost}}) {
    if (n <= kMost) check(static_cast<uint32_t>(n));
  }
}

}  // namespace
}  // namespace stablekv

int main() {
  for (uint32_t value = 1; value < 600; ++value) stablekv::TestDivisor(value);
  for (int bit = 10; bit < 31; ++bit) {
    for (const int64_t off : {-1, 0, 1}) {
      stablekv::TestDivisor(static_cast<uint32_t>((int64_t{1} << bit) + off));
    }
  }
  for (const uint32_t value : {70000u, 1000003u, 0x55555555u, stablekv::kMost}) {
    stablekv::TestDivisor(value);
  }
  return stablekv::testing::Finish();
}
