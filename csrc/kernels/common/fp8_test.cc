#include "csrc/kernels/common/fp8.h"

#include <cmath>
#include <cstdint>

#include "csrc/kernels/common/nearest_code.h"
#include "csrc/kernels/common/testing.h"

namespace stablekv {
namespace {

using testing::NearestCode;

constexpr uint32_t kNans[] = {0x7F800001, 0x7FC00000, 0x7FFFFFFF, 0xFF800001, 0xFFC00000};

static_assert(FloatBitsToFp8E4M3(0x3F800000) == 0x38);  // usable at compile time

void TestE4M3() {
  constexpr testing::Format kFormat{4, 3};
  for (int i = 0; i < 256; ++i) {
    const auto code = static_cast<uint8_t>(i);
    const float value = Fp8E4M3ToFloat(code);
    if ((code & 0x7F) == 0x7F) {
      CHECK_THAT(std::isnan(value), "code " << i);
      CHECK_EQUAL(FloatToFp8E4M3(value), kFp8Nan, "code " << i);
      continue;
    }
    CHECK_EQUAL(std::fabs(value), testing::ValueOfCode(kFormat, code & 0x7F), "code " << i);
    CHECK_EQUAL(std::signbit(value), code >= 0x80, "code " << i);
    CHECK_EQUAL(FloatToFp8E4M3(value), code, "code " << i);
  }
  const NearestCode nearest(kFormat, kFp8E4M3Max, kFp8E4M3Max);
  for (const float x : testing::FloatsToTry(nearest)) {
    CHECK_EQUAL(FloatToFp8E4M3(x), nearest(x), "x = " << x);
  }
  for (const uint32_t bits : kNans) CHECK_EQUAL(FloatBitsToFp8E4M3(bits), kFp8Nan, bits);
}

void TestE5M2() {
  constexpr testing::Format kFormat{5, 2};
  for (int i = 0; i < 256; ++i) {
    const auto code = static_cast<uint8_t>(i);
    const float value = Fp8E5M2ToFloat(code);
    CHECK_EQUAL(std::signbit(value), code >= 0x80, "code " << i);
    if ((code & 0x7F) > 0x7C) {
      CHECK_THAT(std::isnan(value), "code " << i);
      CHECK_EQUAL(FloatToFp8E5M2(value), kFp8Nan, "code " << i);
    } else if ((code & 0x7F) == 0x7C) {
      CHECK_THAT(std::isinf(value), "code " << i);
      CHECK_EQUAL(FloatToFp8E5M2(value), (code & 0x80) | kFp8E5M2Max, "code " << i);
    } else {
      CHECK_EQUAL(std::fabs(value), testing::ValueOfCode(kFormat, code & 0x7F), "code " << i);
      CHECK_EQUAL(FloatToFp8E5M2(value), code, "code " << i);
    }
  }
  const NearestCode nearest(kFormat, kFp8E5M2Max, kFp8E5M2Max);
  for (const float x : testing::FloatsToTry(nearest)) {
    CHECK_EQUAL(FloatToFp8E5M2(x), nearest(x), "x = " << x);
  }
  for (const uint32_t bits : kNans) CHECK_EQUAL(FloatBitsToFp8E5M2(bits), kFp8Nan, bits);
}

}  // namespace
}  // namespace stablekv

int main() {
  stablekv::TestE4M3();
  stablekv::TestE5M2();
  return stablekv::testing::Finish();
}
