#include "csrc/kernels/mla/group_scale.h"

#include <cmath>
#include <cstdint>

#include "csrc/kernels/common/bfloat16.h"
#include "csrc/kernels/common/float16.h"
#include "csrc/kernels/common/testing.h"

namespace stablekv {
namespace {

// Every largest magnitude that a group of 16-bit elements can have: the power of two is the one
// that the logarithm gives, although that is rounded.
void CheckAmax(float amax) {
  const float plain = IndexerGroupScale(amax, /*power_of_two=*/false);
  CHECK_EQUAL(FloatToBits(plain), FloatToBits(std::fmax(amax, 1e-4f) / 448.0f), amax);
  const float power = IndexerGroupScale(amax, /*power_of_two=*/true);
  CHECK_EQUAL(FloatToBits(power), FloatToBits(exp2f(ceilf(log2f(plain)))), amax);
  const float tile = DsMlaTileScale(amax);
  CHECK_EQUAL(FloatToBits(tile), FloatToBits(std::fmax(amax / 448.0f, FLT_MIN)), amax);
}

// The definition, where the logarithm may round to a whole number: next to powers of two.
void CheckPowers() {
  for (int exponent = -126; exponent <= 127; ++exponent) {
    const float power = std::ldexp(1.0f, exponent);
    const float above = std::nextafter(power, INFINITY);
    CHECK_EQUAL(PowerOfTwoFrom(power), power, exponent);
    CHECK_EQUAL(PowerOfTwoFrom(above), exponent == 127 ? INFINITY : 2 * power, exponent);
    if (exponent > -126) {
      CHECK_EQUAL(PowerOfTwoFrom(std::nextafter(power, 0.0f)), power, exponent);
    }
  }
  CHECK_EQUAL(PowerOfTwoFrom(INFINITY), INFINITY, "");
}

}  // namespace
}  // namespace stablekv

int main() {
  using namespace stablekv;
  for (uint32_t bits = 0; bits <= 0x7FFF; ++bits) {
    const auto code = static_cast<uint16_t>(bits);
    if (bits <= 0x7C00) CheckAmax(Float16ToFloat(code));
    if (bits <= 0x7F80) CheckAmax(BFloat16ToFloat(code));
  }
  CheckPowers();
  return testing::Finish();
}
