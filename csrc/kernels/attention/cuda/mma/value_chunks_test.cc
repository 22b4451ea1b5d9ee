// What a warp zeroes of a tile of values is what is not attended to, no more and no less. The lanes
// take turns here; ClearUnattended (mma_values.cuh) is the same loop.
#include "csrc/kernels/attention/cuda/mma/value_chunks.h"

#include <cstdint>
#include <random>
#include <vector>

#include "csrc/kernels/common/testing.h"

namespace stablekv {
namespace {

template <int kHeadSize, int kElementBytes, bool kPairs>
void TestTile(int step_tokens, int block_shift, uint64_t attended) {
  using Chunks = ValueChunks<kHeadSize, kElementBytes, kPairs>;
  const int bytes = step_tokens * kHeadSize * kElementBytes;
  std::vector<uint8_t> tile(bytes, 0xff);
  std::vector<int> visits(bytes / 16, 0);
  for (int lane = 0; lane < 32; ++lane) {
    for (int token = 0; token < step_tokens; token += Chunks::kTokens) {
      const uint32_t kept = Chunks::AttendedAt(attended, token);
      if (kept == Chunks::kAllAttended) continue;
      for (int row = lane; row < Chunks::kRows; row += 32) {
        const int chunk = Chunks::ChunkAt(token, row, block_shift);
        CHECK_THAT(chunk >= 0 && chunk < bytes / 16, "a chunk of the tile");
        CHECK_THAT(++visits[chunk] == 1, "one lane for each chunk");
        for (int byte = 0; byte < 16; ++byte) {
          tile[16 * chunk + byte] &= Chunks::KeptWord(kept, byte / 4) >> 8 * (byte % 4) & 0xff;
        }
      }
    }
  }
  int wrong = 0;
  for (int token = 0; token < step_tokens; ++token) {
    const int block = token >> block_shift;
    const int offset = token & ((1 << block_shift) - 1);
    for (int element = 0; element < kHeadSize; ++element) {
      for (int byte = 0; byte < kElementBytes; ++byte) {
        const int row = block * kHeadSize + element;
        const uint8_t got = tile[((row << block_shift) + offset) * kElementBytes + byte];
        wrong += got != ((attended >> token & 1) != 0 ? 0xff : 0);
      }
    }
  }
  CHECK_THAT(wrong == 0, wrong << " bytes of head size " << kHeadSize << ", " << kElementBytes
                               << " bytes an element, blocks of " << (1 << block_shift)
                               << ", attended " << attended);
}

template <int kHeadSize, int kElementBytes>
void TestHeadSize() {
  std::mt19937_64 random(kHeadSize);
  for (const int step_tokens : {32, 64}) {
    const uint64_t all = ~uint64_t{0} >> (64 - step_tokens);
    std::vector<uint64_t> cases = {all, 0, 1, all - 1, all >> 1, random() & all, random() & all};
    for (int left = 1; left < step_tokens; ++left) cases.push_back((uint64_t{1} << left) - 1);
    for (const uint64_t attended : cases) {
      if (kElementBytes == 1) {
        TestTile<kHeadSize, kElementBytes, true>(step_tokens, 3, attended);
      } else {
        TestTile<kHeadSize, kElementBytes, false>(step_tokens, 3, attended);
      }
      TestTile<kHeadSize, kElementBytes, false>(step_tokens, 4, attended);
      TestTile<kHeadSize, kElementBytes, false>(step_tokens, 5, attended);
    }
  }
}

template <int kElementBytes>
void TestHeadSizes() {
  TestHeadSize<32, kElementBytes>();
  TestHeadSize<64, kElementBytes>();
  TestHeadSize<80, kElementBytes>();
  TestHeadSize<96, kElementBytes>();
  TestHeadSize<112, kElementBytes>();
  TestHeadSize<120, kElementBytes>();
  TestHeadSize<128, kElementBytes>();
  TestHeadSize<192, kElementBytes>();
  TestHeadSize<256, kElementBytes>();
}

}  // namespace
}  // namespace stablekv

int main() {
  stablekv::TestHeadSizes<1>();
  stablekv::TestHeadSizes<2>();
  return stablekv::testing::Finish();
}
