// Shares are the smallest whole units that hold all tokens.
#include "csrc/kernels/attention/cuda/share_plan.h"

#include <cstdint>

#include "csrc/kernels/common/testing.h"

namespace stablekv {
namespace {

void TestAnyNumberOfTokens() {
  for (const int num_shares : {1, 2, 7, 33, 132, 264, 1000}) {
    const ShareSize size(num_shares, false);
    CHECK_THAT(size.num_shares() == num_shares, num_shares);
    for (int64_t grains = 0; grains < 1 << 25; grains += 1 + grains / 50) {
      const int64_t tokens = size.TokensOf(static_cast<int>(grains));
      CHECK_THAT(tokens % kShareUnit == 0 && tokens > 0,
                 num_shares << " shares of " << grains << " grains: " << tokens);
      CHECK_THAT(tokens * num_shares >= grains * kShareGrain,
                 num_shares << " shares of " << tokens << " hold " << grains << " grains");
      CHECK_THAT(tokens == kShareUnit || (tokens - kShareUnit) * num_shares < grains * kShareGrain,
                 num_shares << " shares of " << grains << " grains are too large: " << tokens);
    }
  }
}

void TestKnown() {
  CHECK_THAT(ShareSize().num_shares() == 0 && !ShareSize().fills(), "none");
  CHECK_THAT(ShareSize(256, true).fills(), "smaller ones");
  CHECK_THAT(ShareSize(256, true).TokensOf(64 * 4096 / kShareGrain) == 1024, "at first");
  CHECK_THAT(ShareSize(256, false).TokensOf(64 * 4096 / kShareGrain) == 1024, "even");
  CHECK_THAT(ShareSize(256, false).TokensOf(64 * 4096 / kShareGrain + 1) == 1280, "a grain more");
}

void TestSmaller() {
  CHECK_THAT(ShareSize::Smaller(512) == 256, "a unit");
  CHECK_THAT(ShareSize::Smaller(64 * 256) == 62 * 256, "a 64th and a unit");
  // To half a size it takes few steps.
  for (int tokens = kLongestShared; tokens > 64 * kShareUnit; tokens -= tokens / 512 * 256) {
    int steps = 0;
    for (int smaller = tokens; 2 * smaller > tokens; ++steps) {
      const int next = ShareSize::Smaller(smaller);
      CHECK_THAT(next < smaller && next % kShareUnit == tokens % kShareUnit, smaller);
      smaller = next;
    }
    CHECK_THAT(steps <= 64, steps << " steps from " << tokens);
  }
}

}  // namespace
}  // namespace stablekv

int main() {
  stablekv::TestAnyNumberOfTokens();
  stablekv::TestKnown();
  stablekv::TestSmaller();
  return stablekv::testing::Finish();
}
