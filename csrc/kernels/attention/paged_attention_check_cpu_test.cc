#include "csrc/kernels/attention/paged_attention_check_cpu.h"

#include <cstdint>
#include <functional>
#include <limits>
#include <string>

#include "csrc/kernels/attention/attention_test_case.h"
#include "csrc/kernels/common/testing.h"

namespace stablekv {
namespace {

using testing::AttentionCase;
using testing::CaseShape;

// A problem spoilt by `spoil` must be refused with a message that contains `text`, and the output
// left as it was.
void CheckRefused(const CaseShape& shape,
                  const std::function<void(AttentionCase*, PagedAttentionParams*)>& spoil,
                  const std::string& text) {
  AttentionCase problem(shape);
  PagedAttentionParams params = problem.params();
  spoil(&problem, &params);
  const auto before = problem.out_bytes();
  CHECK_ERROR(PagedAttentionCpu(params, SerialFor), text);
  CHECK_THAT(problem.out_bytes() == before, "output written, though: " << text);
}

CaseShape TwoSequences() {
  CaseShape shape;
  shape.seq_lens = {5, 600};
  return shape;
}

void TestSeqLens() {
  const auto set = [](int32_t length) {
    return [length](AttentionCase* problem, PagedAttentionParams*) {
      problem->seq_lens()[1] = length;
    };
  };
  const std::string max = std::to_string(AttentionCase(TwoSequences()).params().max_seq_len);
  CheckRefused(TwoSequences(), set(-1),
               "seq_lens[1] is -1, want 0 to max_seq_len, which is " + max);
  CheckRefused(TwoSequences(), set(std::numeric_limits<int32_t>::min()),
               "seq_lens[1] is -2147483648, want 0 to max_seq_len, which is " + max);
  CheckRefused(TwoSequences(), set(std::numeric_limits<int32_t>::max()),
               "seq_lens[1] is 2147483647, want 0 to max_seq_len, which is " + max);
  CheckRefused(
      TwoSequences(),
      [](AttentionCase*, PagedAttentionParams* params) { params->max_blocks_per_seq = 37; },
      "seq_lens[1] is 600, but block_tables has only 37 blocks of 16 tokens for it");
}

void TestBlockTables() {
  const auto set = [](int64_t column, int32_t block) {
    return [column, block](AttentionCase* problem, PagedAttentionParams* params) {
      problem->block_tables()[static_cast<size_t>(params->block_tables_stride + column)] = block;
    };
  };
  const std::string last = std::to_string(AttentionCase(TwoSequences()).params().num_blocks - 1);
  CheckRefused(TwoSequences(), set(0, -1), "block_tables[1, 0] is -1, want 0 to " + last);
  const int32_t past = std::stoi(last) + 1;
  CheckRefused(TwoSequences(), set(37, past),
               "block_tables[1, 37] is " + std::to_string(past) + ", want 0 to " + last);
  CheckRefused(
      TwoSequences(),
      [](AttentionCase* problem, PagedAttentionParams* params) {
        problem->block_tables()[0] = 1;
        params->num_blocks = 0;
      },
      "block_tables[0, 0] is 1, but the cache has no blocks");
}

// What no head attends to may be missing from the cache; what one head attends to may not.
void TestSparseBlockTables() {
  CaseShape shape;
  shape.seq_lens = {400};
  shape.num_kv_heads = 1;
  shape.sparse = {0, 1, 8, 16, 0};  // attends to blocks 7, 15, 23 and the last
  AttentionCase problem(shape);
  problem.block_tables()[6] = -1;
  problem.block_tables()[8] = std::numeric_limits<int32_t>::max();
  CHECK_OK(PagedAttentionCpu(problem.params(), SerialFor), "skipped blocks");
  problem.CheckOut("skipped blocks");
  CheckRefused(
      shape, [](AttentionCase* other, PagedAttentionParams*) { other->block_tables()[7] = -1; },
      "block_tables[0, 7] is -1");
  shape.num_kv_heads = 2;
  shape.sparse.head_sliding_step = 1;  // the second head attends to blocks 6, 14, 22 and the last
  CheckRefused(
      shape, [](AttentionCase* other, PagedAttentionParams*) { other->block_tables()[6] = -1; },
      "block_tables[0, 6] is -1");
}

void TestSizes() {
  const auto refused = [](void (*spoil)(PagedAttentionParams*), const std::string& text) {
    CheckRefused(
        TwoSequences(), [spoil](AttentionCase*, PagedAttentionParams* params) { spoil(params); },
        text);
  };
  refused([](PagedAttentionParams* p) { p->head_size = 72; },
          "head_size is 72, want one of 32, 64, 80, 96, 112, 120, 128, 192, 256");
  refused([](PagedAttentionParams* p) { p->block_size = 64; },
          "block_size is 64, want one of 8, 16, 32");
  refused([](PagedAttentionParams* p) { p->num_kv_heads = 3; },
          "num_heads is 2, want a multiple of num_kv_heads, which is 3");
  refused([](PagedAttentionParams* p) { p->num_kv_heads = 0; },
          "num_heads is 2, want a multiple of num_kv_heads, which is 0");
  refused([](PagedAttentionParams* p) { p->block_sparse = {0, 1, 2, 0, 0}; },
          "blocksparse_block_size is 0, want at least 1");
  refused(
      [](PagedAttentionParams* p) {
        p->head_size = 120;
        p->cache = CacheType::kFp8E4M3;
      },
      "head_size is 120, want a multiple of 16 for this cache");
}

}  // namespace
}  // namespace stablekv

int main() {
  stablekv::TestSeqLens();
  stablekv::TestBlockTables();
  stablekv::TestSparseBlockTables();
  stablekv::TestSizes();
  return stablekv::testing::Finish();
}
