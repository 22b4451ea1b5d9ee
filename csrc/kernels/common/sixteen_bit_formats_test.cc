#include <cmath>
#include <cstdint>

#include "csrc/kernels/common/bfloat16.h"
#include "csrc/kernels/common/float16.h"
#include "csrc/kernels/common/nearest_code.h"
#include "csrc/kernels/common/testing.h"

namespace stablekv {
namespace {

// Usable at compile time.
static_assert(FloatBitsToBFloat16(0) == 0);
static_assert(FloatBitsToFloat16(0) == 0);

struct BFloat16 {
  static constexpr testing::Format kFormat{8, 7};
  static constexpr uint16_t kMax = 0x7F7F;
  static constexpr uint16_t kInfinity = 0x7F80;
  static float ToFloat(uint16_t code) { return BFloat16ToFloat(code); }
  static uint16_t FromFloat(float x) { return FloatToBFloat16(x); }
  static uint16_t FromBits(uint32_t bits) { return FloatBitsToBFloat16(bits); }
};

struct Float16 {
  static constexpr testing::Format kFormat{5, 10};
  static constexpr uint16_t kMax = 0x7BFF;
  static constexpr uint16_t kInfinity = 0x7C00;
  static float ToFloat(uint16_t code) { return Float16ToFloat(code); }
  static uint16_t FromFloat(float x) { return FloatToFloat16(x); }
  static uint16_t FromBits(uint32_t bits) { return FloatBitsToFloat16(bits); }
};

template <typename T>
void TestEveryCode() {
  for (uint32_t i = 0; i < 65536; ++i) {
    const auto code = static_cast<uint16_t>(i);
    const uint16_t magnitude = code & 0x7FFF;
    const float value = T::ToFloat(code);
    CHECK_EQUAL(std::signbit(value), code >= 0x8000, "code " << i);
    if (magnitude > T::kInfinity) {
      CHECK_THAT(std::isnan(value), "code " << i);
      const uint16_t back = T::FromFloat(value);
      CHECK_THAT((back & 0x7FFF) > T::kInfinity, "code " << i << " came back as " << back);
      CHECK_EQUAL(back & 0x8000, code & 0x8000, "code " << i);
      continue;
    }
    const double want =
        magnitude == T::kInfinity ? INFINITY : testing::ValueOfCode(T::kFormat, magnitude);
    CHECK_EQUAL(std::fabs(value), want, "code " << i);
    CHECK_EQUAL(T::FromFloat(value), code, "code " << i);
  }
}

template <typename T>
void TestRounding() {
  const testing::NearestCode nearest(T::kFormat, T::kMax, T::kInfinity);
  for (const float x : testing::FloatsToTry(nearest)) {
    CHECK_EQUAL(T::FromFloat(x), nearest(x), "x = " << x);
  }
  // NaNs whose payload lies in the bits that are cut off must not turn into Inf.
  for (const uint32_t bits : {0x7F800001u, 0xFF800001u, 0x7FFFFFFFu}) {
    CHECK_THAT((T::FromBits(bits) & 0x7FFF) > T::kInfinity, "NaN " << bits);
  }
}

}  // namespace
}  // namespace stablekv

int main() {
  stablekv::TestEveryCode<stablekv::BFloat16>();
  stablekv::TestRounding<stablekv::BFloat16>();
  stablekv::TestEveryCode<stablekv::Float16>();
  stablekv::TestRounding<stablekv::Float16>();
  return stablekv::testing::Finish();
}
