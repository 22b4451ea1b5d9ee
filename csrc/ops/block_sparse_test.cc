#include "csrc/ops/block_sparse.h"

#include <cstdint>
#include <limits>
#include <string>

#include "csrc/ops/testing.h"

namespace stablekv {
namespace {

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
constexpr int64_t kHeads = 8;
constexpr int64_t kTokens = 1000;

bool Equal(const BlockSparseParams& a, const BlockSparseParams& b) {
  return a.tp_rank == b.tp_rank && a.local_blocks == b.local_blocks &&
         a.vert_stride == b.vert_stride && a.block_size == b.block_size &&
         a.head_sliding_step == b.head_sliding_step;
}

void Accepted(const BlockSparseParams& wanted, const BlockSparseParams& want) {
  BlockSparseParams params{9, 9, 9, 9, 9};
  CHECK_MESSAGE(CheckBlockSparse("op", wanted, kHeads, kTokens, &params), "");
  CHECK_THAT(Equal(params, want), "vert_stride " << wanted.vert_stride);
}

void Refused(const std::string& want, const BlockSparseParams& wanted) {
  BlockSparseParams params;
  CHECK_MESSAGE(CheckBlockSparse("op", wanted, kHeads, kTokens, &params), "op: " + want);
}

void TestInactive() {
  for (const int64_t vert_stride : {kMin, int64_t{-1}, int64_t{0}, int64_t{1}}) {
    Accepted({-5, -5, vert_stride, 0, kMin}, {});
  }
}

void TestActive() {
  for (const BlockSparseParams& params : {BlockSparseParams{0, 0, 2, 1, 0},
                                          {3, 16, 8, 64, 2},
                                          {3, 16, 8, 64, -2},
                                          {0, kMax, kMax, kMax, 0}}) {
    Accepted(params, params);
  }
  const std::string active = " when blocksparse_vert_stride > 1, got ";
  Refused("blocksparse_block_size must be positive" + active + "0", {0, 0, 2, 0, 0});
  Refused("blocksparse_block_size must be positive" + active + "-64", {0, 0, 2, -64, 0});
  Refused("blocksparse_local_blocks must be >= 0" + active + "-1", {0, -1, 2, 64, 0});
  Refused("tp_rank must be >= 0" + active + "-1", {-1, 0, 2, 64, 0});
}

// (tp_rank + 1) * heads * |step| + tokens < kMax is the limit: then no offset of the pattern, with
// a block number added, overflows.
void TestOverflow() {
  const int64_t step = (kMax - kTokens - 1) / (3 * kHeads);
  for (const int64_t sign : {1, -1}) {
    Accepted({2, 0, 2, 64, sign * step}, {2, 0, 2, 64, sign * step});
    const int64_t more = sign * (step + 1);
    Refused(
        "blocksparse_head_sliding_step must be small enough that (tp_rank + 1) * num_heads * "
        "|step| fits in 64 bits, got " +
            std::to_string(more) + " with tp_rank 2",
        {2, 0, 2, 64, more});
  }

  // A step of 0 has no offset that overflows, but tp_rank * num_heads would.
  const int64_t rank = kMax / kHeads;
  Accepted({rank - 1, 0, 2, 64, 0}, {rank - 1, 0, 2, 64, 0});
  for (const int64_t tp_rank : {rank + 1, kMax}) {
    Refused("tp_rank must be small enough that (tp_rank + 1) * num_heads fits in 64 bits, got " +
                std::to_string(tp_rank),
            {tp_rank, 0, 2, 64, 0});
  }

  // With one head the limit can be met exactly, and nothing else saturates.
  BlockSparseParams params;
  const auto ok = [&](int64_t tp_rank, int64_t step) {
    return CheckBlockSparse("op", {tp_rank, 0, 2, 64, step}, 1, kTokens, &params).ok();
  };
  CHECK_THAT(ok(0, kMax - kTokens - 1), "");
  CHECK_THAT(!ok(0, kMax - kTokens), "");
  CHECK_THAT(!ok(0, kMin), "");
  CHECK_THAT(ok(kMax - kTokens - 2, 1), "");
  CHECK_THAT(!ok(kMax - kTokens - 1, 1), "");
  CHECK_THAT(!ok(kMax, 1), "");
}

}  // namespace
}  // namespace stablekv

int main() {
  stablekv::TestInactive();
  stablekv::TestActive();
  stablekv::TestOverflow();
  return stablekv::testing::Finish();
}
