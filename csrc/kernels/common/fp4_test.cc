#include "csrc/kernels/common/fp4.h"

#include <cmath>

#include "csrc/kernels/common/nearest_code.h"
#include "csrc/kernels/common/testing.h"

int main() {
  using stablekv::FloatToFp4E2M1;
  const stablekv::testing::NearestCode nearest({2, 1}, /*max_code=*/7, /*overflow_code=*/7);
  for (const float x : FloatsToTry(nearest)) CHECK_EQUAL(FloatToFp4E2M1(x), nearest(x), "x " << x);
  // The ties, by the list of the contract.
  const float ties[] = {0.25f, 0.75f, 1.25f, 1.75f, 2.5f, 3.5f, 5.0f};
  const int codes[] = {0, 2, 2, 4, 4, 6, 6};
  for (int i = 0; i < 7; ++i) {
    CHECK_EQUAL(FloatToFp4E2M1(ties[i]), codes[i], "tie " << ties[i]);
    CHECK_EQUAL(FloatToFp4E2M1(-ties[i]), codes[i] | 8, "tie " << -ties[i]);
  }
  CHECK_EQUAL(FloatToFp4E2M1(-0.0f), 8, "");
  CHECK_EQUAL(FloatToFp4E2M1(NAN), 7, "");
  CHECK_EQUAL(FloatToFp4E2M1(-NAN), 7, "");
  CHECK_EQUAL(stablekv::FloatPairToFp4E2M1(1.0f, -6.0f), 0xF2, "the first is the low half");
  return stablekv::testing::Finish();
}
