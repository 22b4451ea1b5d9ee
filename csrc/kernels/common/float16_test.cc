#include "csrc/kernels/common/float16.h"

#include <cmath>
#include <cstdint>

#include "csrc/kernels/common/float_bits.h"
#include "csrc/kernels/common/nearest_code.h"
#include "csrc/kernels/common/testing.h"

namespace stablekv {
namespace {

constexpr testing::Format kFormat{5, 10};
constexpr uint16_t kMax = 0x7BFF;
constexpr uint16_t kInfinity = 0x7C00;

static_assert(FloatBitsToFloat16(0) == 0);  // usable at compile time

void TestEveryCode() {
  for (uint32_t i = 0; i < 65536; ++i) {
    const auto code = static_cast<uint16_t>(i);
    const uint16_t magnitude = code & 0x7FFF;
    const float value = Float16ToFloat(code);
    CHECK_EQUAL(std::signbit(value), code >= 0x8000, "code " << i);
    if (magnitude > kInfinity) {
      CHECK_THAT(std::isnan(value), "code " << i);
      const uint16_t back = FloatToFloat16(value);
      CHECK_THAT((back & 0x7FFF) > kInfinity, "code " << i << " came back as " << back);
      CHECK_EQUAL(back & 0x8000, code & 0x8000, "code " << i);
      continue;
    }
    const double want =
        magnitude == kInfinity ? INFINITY : testing::ValueOfCode(kFormat, magnitude);
    CHECK_EQUAL(std::fabs(value), want, "code " << i);
    CHECK_EQUAL(FloatToFloat16(value), code, "code " << i);
  }
}

void TestRounding() {
  const testing::NearestCode nearest(kFormat, kMax, kInfinity);
  for (const float x : testing::FloatsToTry(nearest)) {
    CHECK_EQUAL(FloatToFloat16(x), nearest(x), "x = " << x);
  }
  // NaNs whose payload lies in the bits that are cut off must not turn into Inf.
  for (const uint32_t bits : {0x7F800001u, 0xFF800001u, 0x7FFFFFFFu}) {
    CHECK_THAT((FloatBitsToFloat16(bits) & 0x7FFF) > kInfinity, "NaN " << bits);
  }
}

}  // namespace
}  // namespace stablekv

int main() {
  stablekv::TestEveryCode();
  stablekv::TestRounding();
  return stablekv::testing::Finish();
}
