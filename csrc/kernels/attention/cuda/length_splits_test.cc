// Splits cover every length, and are as many as there may be.
#include "csrc/kernels/attention/cuda/length_splits.h"

#include <cstdint>
#include <limits>

#include "csrc/kernels/common/testing.h"

namespace stablekv {
namespace {

void TestAnyLength(int64_t fewest) {
  for (const int64_t most : {1, 2, 3, 7, 16, 33, 64, 132}) {
    const LengthSplits splits(most, fewest);
    int64_t before = 0;
    for (int64_t length = 0; length < 40000; length += 1 + length / 64) {
      const int64_t tokens = splits.TokensOf(length);
      const int64_t count = splits.CountOf(length);
      CHECK_THAT(tokens % kSplitUnit == 0 && tokens >= fewest,
                 most << " splits of " << length << ": " << tokens);
      CHECK_THAT(count <= most && count * tokens >= length, most << " splits cover " << length);
      CHECK_THAT(length == 0 ? count == 0 : (count - 1) * tokens < length,
                 "none of the " << count << " of " << length << " is empty");
      CHECK_THAT(tokens >= before, "a longer sequence has no smaller splits");
      before = tokens;
    }
    const int64_t longest = std::numeric_limits<int32_t>::max();
    CHECK_THAT(splits.TokensOf(longest) * most >= longest, most << " splits of the longest");
  }
}

void TestKnown() {
  CHECK_THAT(LengthSplits(16, 256).TokensOf(16384) == 1024, "even");
  CHECK_THAT(LengthSplits(16, 256).TokensOf(16385) == 1088, "a token more");
  CHECK_THAT(LengthSplits(16, 256).CountOf(600) == 3, "few tokens have few splits");
  CHECK_THAT(LengthSplits(8, 2048).CountOf(4096) == 2, "no smaller ones");
  CHECK_THAT(LengthSplits().TokensOf(4096) == 4096, "one split");
}

}  // namespace
}  // namespace stablekv

int main() {
  for (const int64_t fewest : {64, 256, 2048}) stablekv::TestAnyLength(fewest);
  stablekv::TestKnown();
  return stablekv::testing::Finish();
}
