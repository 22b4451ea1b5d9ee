#include <cstdint>
#include <vector>

#include "csrc/kernels/cache/swap_blocks.h"
#include "csrc/kernels/common/testing.h"

namespace stablekv {
namespace {

std::vector<MemoryCopy> Copies(uint8_t* memory, std::vector<std::pair<int, int>> places) {
  std::vector<MemoryCopy> copies;
  for (const auto& [from, to] : places) copies.push_back({memory + from, memory + to, 10});
  return copies;
}

void TestIndependence() {
  uint8_t memory[200];
  CHECK_THAT(AreIndependent({}), "");
  CHECK_THAT(AreIndependent(Copies(memory, {{0, 10}})), "");
  CHECK_THAT(AreIndependent(Copies(memory, {{0, 20}, {0, 30}, {10, 40}})), "shared sources");
  CHECK_THAT(AreIndependent(Copies(memory, {{0, 40}, {10, 30}, {50, 20}})), "not sorted");
  CHECK_THAT(!AreIndependent(Copies(memory, {{0, 20}, {10, 20}})), "the same destination");
  CHECK_THAT(!AreIndependent(Copies(memory, {{0, 29}, {10, 20}})), "destinations overlap");
  CHECK_THAT(!AreIndependent(Copies(memory, {{0, 20}, {20, 40}})), "chained");
  CHECK_THAT(!AreIndependent(Copies(memory, {{20, 40}, {0, 20}})), "source overwritten later");
  CHECK_THAT(!AreIndependent(Copies(memory, {{0, 20}, {29, 40}})), "source overlaps below");
  CHECK_THAT(!AreIndependent(Copies(memory, {{0, 20}, {11, 40}})), "source overlaps above");
  CHECK_THAT(AreIndependent(Copies(memory, {{0, 20}, {30, 40}, {10, 60}})), "touching");
}

// The copy of rows one after the other, byte by byte.
std::vector<uint8_t> Want(const SwapBlocksParams& params, std::vector<uint8_t> memory,
                          const std::vector<int64_t>& mapping) {
  for (size_t row = 0; row < mapping.size(); row += 2) {
    for (int64_t k = 0; k < params.block_bytes; ++k) {
      memory[static_cast<size_t>(mapping[row + 1] * params.block_bytes + k)] =
          memory[static_cast<size_t>(mapping[row] * params.block_bytes + k)];
    }
  }
  return memory;
}

void TestSwap(const std::vector<int64_t>& mapping, bool transposed) {
  constexpr int64_t kBlocks = 12;
  const int64_t num_copies = static_cast<int64_t>(mapping.size()) / 2;
  for (const int64_t block_bytes : {1, 3, 64, 1000}) {
    std::vector<uint8_t> memory(static_cast<size_t>(kBlocks * block_bytes));
    for (size_t i = 0; i < memory.size(); ++i) memory[i] = static_cast<uint8_t>(i * 37 + i / 251);
    std::vector<int64_t> laid_out = mapping;
    if (transposed) {
      for (size_t i = 0; i < mapping.size(); ++i) {
        laid_out[(i % 2) * static_cast<size_t>(num_copies) + i / 2] = mapping[i];
      }
    }
    const SwapBlocksParams params = {memory.data(),
                                     memory.data(),
                                     block_bytes,
                                     laid_out.data(),
                                     num_copies,
                                     transposed ? 1 : 2,
                                     transposed ? num_copies : 1,
                                     false,
                                     false};
    const std::vector<uint8_t> want = Want(params, memory, mapping);
    CHECK_OK(SwapBlocksCpu(params, &testing::BackwardsFor<7>), "");  // cuts copies in the middle
    CHECK_THAT(memory == want, "blocks of " << block_bytes << " bytes");
  }
}

}  // namespace
}  // namespace stablekv

int main() {
  stablekv::TestIndependence();
  for (const bool transposed : {false, true}) {
    stablekv::TestSwap({}, transposed);
    stablekv::TestSwap({0, 1}, transposed);
    stablekv::TestSwap({0, 6, 1, 7, 2, 11, 5, 8}, transposed);
    stablekv::TestSwap({0, 1, 1, 2, 2, 3, 3, 0}, transposed);  // a chain
    stablekv::TestSwap({0, 3, 1, 3, 2, 3}, transposed);        // the last one wins
    stablekv::TestSwap({4, 4, 0, 4, 4, 5}, transposed);        // a block to itself
  }
  return stablekv::testing::Finish();
}
