#include "csrc/kernels/attention/paged_attention_cpu.h"

#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "csrc/kernels/attention/attention_test_case.h"
#include "csrc/kernels/attention/attention_test_units.h"
#include "csrc/kernels/common/testing.h"

namespace stablekv {
namespace {

using testing::AttentionCase;
using testing::CaseShape;
using testing::kCaches;
using testing::kElements;
using testing::Unit;
using testing::Units;

using Body = void (*)(int64_t, int64_t, void*);

void ThreadedFor(int64_t begin, int64_t end, int64_t /*grain*/, Body body, void* context) {
  std::vector<std::thread> threads;
  const int64_t share = (end - begin + 2) / 3;
  for (int64_t from = begin; from < end; from += share) {
    threads.emplace_back(body, from, std::min(from + share, end), context);
  }
  for (std::thread& thread : threads) thread.join();
}

// With one vector unit's code: the answer, and that neither threads nor batches change it.
void CheckWith(const AttentionFunctions& functions, const std::string& name,
               AttentionCase* problem) {
  problem->ClearOut();
  CHECK_OK(PagedAttentionWith(functions, problem->params(), SerialFor), problem->shape());
  problem->CheckOut(name.c_str());
  const std::vector<uint8_t> serial = problem->out_bytes();

  // Starting threads is slow on a busy machine: they are for problems of several partitions.
  const bool threads = problem->params().max_seq_len > 2 * kPartitionSize;
  for (const ParallelFor parallel_for : {testing::BackwardsFor<>, ThreadedFor}) {
    if (parallel_for == ThreadedFor && !threads) continue;
    problem->ClearOut();
    const int64_t partial_bytes = parallel_for == ThreadedFor ? kPartialBytes : 4'000;
    CHECK_OK(PagedAttentionWith(functions, problem->params(), parallel_for, partial_bytes),
             problem->shape());
    CHECK_THAT(problem->out_bytes() == serial,
               name << " gives other bytes in other ranges: " << problem->shape());
  }
}

void Check(AttentionCase* problem) {
  for (const Unit& unit : Units()) CheckWith(unit.functions, unit.name, problem);
}

void Check(const CaseShape& shape) {
  AttentionCase problem(shape);
  Check(&problem);
}

// Every cache, head size and block size for each of `elements`. What else a case is,
// `complete(seed, &shape)` says.
template <typename Elements, typename Complete>
void CheckEach(const Elements& elements, uint32_t seed, const Complete& complete) {
  for (const ElementType element : elements) {
    for (const CacheType cache : kCaches) {
      for (const int64_t head_size : kHeadSizes) {
        if (cache != CacheType::kAuto && head_size % 16 != 0) continue;
        for (const int64_t block_size : kBlockSizes) {
          CaseShape shape;
          shape.element = element;
          shape.cache = cache;
          shape.head_size = head_size;
          shape.block_size = block_size;
          shape.alibi = seed % 2 == 0;
          complete(seed, &shape);
          shape.seed = ++seed;
          Check(shape);
        }
      }
    }
  }
}

// Every type, head size and block size.
void TestShapes() {
  CheckEach(kElements, 100, [](uint32_t seed, CaseShape* shape) {
    shape->group = 1 + seed % 4;
    shape->seq_lens = {19, 0, 47};
  });
}

// So many heads that tiles do the work where there are any, and halves or all of their columns.
void TestLargeGroups() {
  constexpr ElementType kTileElements[] = {ElementType::kFloat16, ElementType::kBFloat16};
  CheckEach(kTileElements, 500, [](uint32_t seed, CaseShape* shape) {
    shape->num_kv_heads = 1;
    shape->group = 5 + seed % 12;
    shape->seq_lens = {19, 75};
  });
}

void TestLengths() {
  for (const int64_t block_size : kBlockSizes) {
    CaseShape shape;
    shape.block_size = block_size;
    shape.head_size = 80;
    shape.group = 2;
    shape.seq_lens = {0,  1,  7,  8,   9,   15,  16,  17,   31,   32,
                      33, 63, 64, 511, 512, 513, 520, 1024, 1025, 1537};
    Check(shape);
    shape.element = ElementType::kBFloat16;
    shape.alibi = true;
    Check(shape);
  }
}

// Sequences of short items and of long ones, and where the one becomes the other.
void TestLongItems() {
  for (const CacheType cache : kCaches) {
    for (const int64_t group : {1, 4}) {
      CaseShape shape;
      shape.element = group == 1 ? ElementType::kFloat32 : ElementType::kBFloat16;
      shape.cache = cache;
      shape.head_size = 32;
      shape.group = group;
      shape.head_gaps = group == 4;
      shape.alibi = cache == CacheType::kAuto;
      shape.seq_lens = {1025, 2047, 2048, 2049, 3072, 3073, 4100};
      Check(shape);
    }
  }
}

// 17 and 33 are more heads than a pass takes.
void TestGroups() {
  for (const int64_t group : {1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 17, 33}) {
    CaseShape shape;
    shape.element = group % 2 == 0 ? ElementType::kBFloat16 : ElementType::kFloat32;
    shape.group = group;
    shape.head_size = 32;
    shape.alibi = group % 3 == 0;
    shape.seq_lens = {3, 600};
    Check(shape);
  }
}

// kv heads without a gap between them, which are worked on together: some, all, or more than there
// is room for. Whole partitions and blocks, and parts of them.
void TestNeighbouringHeads() {
  CheckEach(kElements, 900, [](uint32_t seed, CaseShape* shape) {
    shape->head_gaps = false;
    shape->num_kv_heads = 1 + seed % 7;
    shape->group = 1 + seed % 5;
    shape->seq_lens = {static_cast<int32_t>(1 + seed % 70), 0, 64};
  });
  for (const int64_t group : {1, 2, 3, 7, 16, 17, 33}) {
    CaseShape shape;
    shape.element = group % 2 == 0 ? ElementType::kFloat16 : ElementType::kBFloat16;
    shape.cache = group == 3 ? CacheType::kFp8E5M2 : CacheType::kAuto;
    shape.head_gaps = false;
    shape.num_kv_heads = group == 1 ? 37 : 9;
    shape.group = group;
    shape.head_size = 32;
    shape.alibi = group != 2;
    shape.seq_lens = {600, 1024};
    Check(shape);
  }
  for (const bool sparse : {false, true}) {
    CaseShape shape;
    shape.head_gaps = false;
    shape.num_kv_heads = 3;
    shape.group = 2;
    shape.head_size = 256;
    shape.block_size = 32;
    shape.sparse.vert_stride = sparse ? 3 : 0;
    shape.sparse.local_blocks = 2;
    shape.sparse.head_sliding_step = -1;
    shape.seq_lens = {700, 33};
    Check(shape);
  }
}

// Items that AMX cuts into portions, by their bytes or by their tokens.
void TestPortions() {
  for (const CacheType cache : kCaches) {
    for (const int64_t head_size : {32, 192, 256}) {
      CaseShape shape;
      shape.element = ElementType::kBFloat16;
      shape.cache = cache;
      shape.head_size = head_size;
      shape.block_size = 32;
      shape.num_kv_heads = 2;
      shape.head_gaps = head_size == 192;
      shape.group = head_size == 256 ? 9 : 5;
      shape.alibi = true;
      shape.seq_lens = {1100, 129, 300, 2400};
      Check(shape);
    }
  }
}

// Large heads of a wide type.
void TestLargeHeads() {
  for (const int64_t head_size : {192, 256}) {
    CaseShape shape;
    shape.head_size = head_size;
    shape.block_size = 32;
    shape.num_kv_heads = 1;
    shape.group = 3;
    shape.alibi = true;
    shape.seq_lens = {1100, 129, 300};
    Check(shape);
  }
}

void TestBlockSparse() {
  for (const int64_t step : {0, 1, 3, -1, -2}) {
    for (const int64_t tp_rank : {0, 3}) {
      for (const int64_t local_blocks : {0, 1, 4}) {
        CaseShape shape;
        shape.sparse = {tp_rank, local_blocks, 5, 32, step};
        shape.group = 3;
        shape.head_size = 32;
        shape.alibi = local_blocks == 1;
        shape.seq_lens = {1, 40, 290, 0, 1300};
        Check(shape);
      }
    }
  }
}

// Whole partitions skipped, then everything.
void TestBlockSparseSkipsAll() {
  CaseShape shape;
  shape.sparse = {0, 1, 1000, 64, 1};
  shape.seq_lens = {1500, 513, 2600};
  Check(shape);
  shape.sparse.local_blocks = 0;
  Check(shape);
}

// A NaN in a block reaches the heads that attend to the block and no other head.
void TestNanOfAnotherHead() {
  CaseShape shape;
  shape.sparse = {0, 1, 4, 16, 1};
  shape.num_kv_heads = 1;
  shape.group = 4;
  shape.seq_lens = {200};
  AttentionCase problem(shape);
  problem.PoisonBlock(problem.block_tables()[1]);
  Check(&problem);
}

// A NaN among the tokens is an ordinary value: it goes through.
void TestNanGoesThrough() {
  for (const ElementType element : kElements) {
    for (const CacheType cache : kCaches) {
      for (const int64_t group : {1, 9}) {
        CaseShape shape;
        shape.element = element;
        shape.cache = cache;
        shape.group = group;
        shape.seq_lens = {700, 40};
        AttentionCase problem(shape);
        problem.PoisonBlock(problem.block_tables()[2]);  // of the first sequence
        Check(&problem);
      }
    }
  }
}

// Each way to choose a vector unit gives an answer.
void TestIsas() {
  for (const CpuIsa isa : kCpuIsas) {
    if (!HasCpuIsa(isa)) continue;
    for (const int64_t head_size : {120, 128}) {
      CaseShape shape;
      shape.head_size = head_size;
      AttentionCase problem(shape);
      CHECK_OK(PagedAttentionOnIsa(problem.params(), SerialFor, isa), NameOf(isa));
      problem.CheckOut(NameOf(isa));
    }
  }
}

// Blocks 4 GiB and more apart: offsets that 32 bits do not hold. The memory is only touched where
// blocks are.
void TestFarBlocks() {
  CaseShape shape;
  shape.element = ElementType::kBFloat16;
  shape.seq_lens = {20};
  AttentionCase problem(shape);
  PagedAttentionParams params = problem.params();
  CHECK_OK(PagedAttentionCpu(params, SerialFor), "near blocks");
  const std::vector<uint8_t> near = problem.out_bytes();

  const int64_t element_bytes = 2;
  const int64_t stride = (int64_t{1} << 31) + 8;  // elements
  const auto bytes = static_cast<size_t>((params.num_blocks * stride) * element_bytes);
  void* const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHECK_THAT(memory != MAP_FAILED, "no address space for " << bytes << " bytes");
  if (memory == MAP_FAILED) return;
  auto* const keys = static_cast<uint8_t*>(memory);
  uint8_t* const values = keys + stride / 2 * element_bytes;
  const auto copy = [&](const void* from, int64_t from_stride, uint8_t* to) {
    for (int64_t block = 0; block < params.num_blocks; ++block) {
      memcpy(to + block * stride * element_bytes,
             static_cast<const uint8_t*>(from) + block * from_stride * element_bytes,
             static_cast<size_t>(from_stride * element_bytes));
    }
  };
  copy(params.key_cache, params.key_cache_block_stride, keys);
  copy(params.value_cache, params.value_cache_block_stride, values);
  problem.ClearOut();
  params.key_cache = keys;
  params.value_cache = values;
  params.key_cache_block_stride = params.value_cache_block_stride = stride;
  CHECK_OK(PagedAttentionCpu(params, SerialFor), "far blocks");
  CHECK_THAT(problem.out_bytes() == near, "far blocks give another answer");
  munmap(memory, bytes);
}

void TestEmpty() {
  PagedAttentionParams params{};
  CHECK_OK(PagedAttentionCpu(params, SerialFor), "no sequences");
}

}  // namespace
}  // namespace stablekv

int main() {
  stablekv::testing::SayWhichIsas();
  stablekv::TestShapes();
  stablekv::TestLargeGroups();
  stablekv::TestLengths();
  stablekv::TestLongItems();
  stablekv::TestGroups();
  stablekv::TestNeighbouringHeads();
  stablekv::TestPortions();
  stablekv::TestLargeHeads();
  stablekv::TestBlockSparse();
  stablekv::TestBlockSparseSkipsAll();
  stablekv::TestNanOfAnotherHead();
  stablekv::TestNanGoesThrough();
  stablekv::TestIsas();
  stablekv::TestFarBlocks();
  stablekv::TestEmpty();
  return stablekv::testing::Finish();
}
