// Plans are valid for any work, and what they were measured to be for some.
#include "csrc/kernels/attention/cuda/mma/split_plan.h"

#include <cstdint>
#include <string>

#include "csrc/kernels/attention/cuda/length_splits.h"
#include "csrc/kernels/attention/cuda/mma/mma_args.h"
#include "csrc/kernels/attention/cuda/share_plan.h"
#include "csrc/kernels/attention/paged_attention.h"
#include "csrc/kernels/common/testing.h"

namespace stablekv {
namespace {

constexpr int kProcessors = 132;
constexpr int64_t kBandwidth = 4916736;  // of an H200, bytes a microsecond

SplitWork Work(int64_t num_seqs, int64_t kv_heads, int64_t max_seq_len, bool has_scratch) {
  SplitWork work = {};
  work.num_seqs = num_seqs;
  work.items = num_seqs * kv_heads;
  work.max_seq_len = max_seq_len;
  work.bytes_per_token = 512;
  work.reads_once = true;
  work.has_scratch = has_scratch;
  work.cta_warps = 4;
  work.cta_tokens = 128;
  work.num_processors = kProcessors;
  work.bandwidth = kBandwidth;
  work.has_clusters = true;
  return work;
}

LengthSplits SplitsOf(const SplitPlan& plan, const SplitWork& work) {
  return LengthSplits(plan.num_splits, FewestSplitTokens(plan.cluster_size, work.cta_tokens));
}

void TestValid() {
  for (const bool has_clusters : {false, true}) {
    for (const bool has_scratch : {false, true}) {
      for (const int64_t seqs : {1, 2, 3, 7, 16, 33, 64, 100, 257, 5000, 70000}) {
        for (const int64_t heads : {1, 2, 8, 32}) {
          for (const int64_t tokens : {0, 1, 63, 64, 65, 511, 512, 513, 4096, 16384, 1000000}) {
            SplitWork work = Work(seqs, heads, tokens, has_scratch);
            work.has_clusters = has_clusters;
            const SplitPlan plan = PlanSplits(work);
            const auto what = [&](const char* rule) {
              return std::string(rule) + ": " + std::to_string(seqs) + " x " +
                     std::to_string(heads) + " x " + std::to_string(tokens);
            };
            const int c = plan.cluster_size;
            CHECK_THAT(c == 1 || c == 2 || c == 4 || c == 8 || c == 16, what("cluster size"));
            CHECK_THAT(has_clusters || c == 1, what("no clusters"));
            CHECK_THAT(plan.num_splits >= 1 &&
                           plan.num_splits * SplitsOf(plan, work).TokensOf(tokens) >= tokens,
                       what("covers"));
            CHECK_THAT(has_scratch || plan.num_splits == 1, what("no scratch"));
            // A row of the scratch for each split or share.
            const int64_t partitions = (tokens + kPartitionSize - 1) / kPartitionSize;
            CHECK_THAT(!HasReduction(plan) || (has_scratch && RowsOf(plan, seqs) <= partitions),
                       what("rows"));
            CHECK_THAT(
                plan.num_shares == 0 || (c == 1 && plan.num_splits == 1 && !plan.longest_first),
                what("shares are all there is"));
            CHECK_THAT(plan.num_shares >= 0 && (plan.num_shares == 0 || seqs <= kMostSharing),
                       what("too many to share"));
            CHECK_THAT(plan.log_items_per_cta == 0 ||
                           (c == 1 && !HasReduction(plan) && 4 >> plan.log_items_per_cta > 0),
                       what("items of a CTA"));
            CHECK_THAT(
                plan.num_splits == 1 || SplitsOf(plan, work).CountOf(tokens) == plan.num_splits,
                what("no split of the longest is empty"));
            CHECK_THAT(!plan.longest_first || seqs <= kMmaMostRanked, what("too many to rank"));
            CHECK_THAT(!plan.alone || (has_clusters && c <= 2 && plan.num_shares == 0 &&
                                       work.items * c * plan.num_splits <= kProcessors),
                       what("one to a multiprocessor"));
          }
        }
      }
    }
  }
}

void Expect(const SplitWork& work, int cluster_size, int num_splits) {
  const SplitPlan plan = PlanSplits(work);
  CHECK_THAT(plan.cluster_size == cluster_size && plan.num_splits == num_splits,
             work.items << " items of " << work.max_seq_len << ": clusters of " << plan.cluster_size
                        << ", " << plan.num_splits << " splits");
}

// The best of those tried on an H200; see docs/experiments_cuda.md.
void TestMeasured() {
  Expect(Work(1, 1, 512, true), 4, 1);
  Expect(Work(1, 1, 1024, true), 8, 1);
  Expect(Work(1, 1, 2048, true), 16, 1);
  Expect(Work(1, 1, 4096, true), 8, 4);
  Expect(Work(1, 1, 16384, true), 8, 8);
  Expect(Work(1, 1, 131072, true), 2, 64);
  Expect(Work(4, 1, 4096, true), 16, 1);
  Expect(Work(16, 1, 4096, true), 1, 8);
  Expect(Work(64, 1, 4096, true), 2, 1);
  Expect(Work(256, 1, 4096, true), 1, 1);
  Expect(Work(1, 8, 512, true), 4, 1);
  Expect(Work(1, 8, 4096, true), 2, 8);
  Expect(Work(1, 8, 16384, true), 1, 16);
  Expect(Work(2, 8, 4096, true), 1, 8);
  Expect(Work(4, 8, 2048, true), 1, 4);
  Expect(Work(8, 8, 4096, true), 2, 1);
  Expect(Work(16, 8, 512, true), 1, 1);
  Expect(Work(64, 8, 16384, true), 1, 1);
  Expect(Work(256, 8, 16384, true), 1, 1);
  Expect(Work(1, 32, 512, true), 2, 1);
  Expect(Work(1, 32, 16384, true), 1, 4);
  Expect(Work(1, 32, 16384, false), 16, 1);
  Expect(Work(64, 1, 4096, false), 2, 1);
  Expect(Work(64, 1, 16384, false), 2, 1);
  // Where lengths may differ so much that pairs with an order are better.
  Expect(Work(256, 1, 16384, true), 2, 1);
  Expect(Work(33, 8, 16384, true), 2, 1);
  Expect(Work(34, 8, 16384, true), 1, 1);
}

// Keys and values of fp8 are half the bytes, and a warp's step has twice the tokens.
void TestMeasuredFp8() {
  const auto expect = [](int64_t seqs, int64_t heads, int64_t tokens, int clusters, int splits) {
    SplitWork work = Work(seqs, heads, tokens, true);
    work.bytes_per_token = 256;
    work.cta_tokens = 256;
    Expect(work, clusters, splits);
  };
  expect(1, 1, 512, 2, 1);
  expect(1, 1, 1024, 4, 1);
  expect(1, 1, 2048, 8, 1);
  expect(1, 1, 8192, 8, 4);
  expect(1, 8, 1024, 4, 1);
  expect(1, 8, 16384, 1, 16);
  expect(16, 1, 1024, 4, 1);
  expect(64, 1, 8192, 2, 1);
}

// Long sequences are cut on the device, which knows their lengths.
void TestShares() {
  const auto shares = [](int64_t seqs, int64_t heads, int64_t tokens) {
    return PlanSplits(Work(seqs, heads, tokens, true)).num_shares;
  };
  CHECK_THAT(shares(64, 1, 16384) == 264, "one CTA for each that runs");
  CHECK_THAT(shares(16, 8, 16384) == 33, "the same for each kv head");
  const auto of_fp8 = [](int64_t seqs, int64_t heads) {
    SplitWork work = Work(seqs, heads, 32768, true);
    work.fp8 = true;
    work.bytes_per_token /= 2;
    return PlanSplits(work);
  };
  CHECK_THAT(of_fp8(33, 1).num_shares == 231, "room for the last tokens of each of a few");
  CHECK_THAT(of_fp8(34, 1).num_shares == 264, "not of more");
  CHECK_THAT(of_fp8(4, 8).num_shares == 29, "the same for each kv head");
  CHECK_THAT(of_fp8(33, 1).fills_shares && !of_fp8(34, 1).fills_shares, "which is to be filled");
  CHECK_THAT(!PlanSplits(Work(33, 1, 32768, true)).fills_shares, "not of 16-bit caches");
  CHECK_THAT(shares(16, 1, 8192) == 176 && shares(2, 8, 8192) == 22, "short ones: fewer");
  CHECK_THAT(shares(16, 1, 8449) == 256, "not of more tokens, but no more than rows");
  CHECK_THAT(shares(12, 1, 8192) == 176, "no more than rows, or fewer");
  CHECK_THAT(shares(12, 1, 7168) == 0, "too little to read");
  CHECK_THAT(shares(11, 1, 131072) == 0, "splits of each sequence are as even");
  CHECK_THAT(shares(64, 1, 131072) == 264, "as a graph for all lengths calls it");
  CHECK_THAT(shares(16, 8, 4096) == 0, "not long enough");
  CHECK_THAT(shares(1, 8, 131072) == 0, "one sequence");
  CHECK_THAT(shares(17, 8, 16384) == 0, "more than multiprocessors");
  CHECK_THAT(shares(66, 2, 16384) == 132, "as many as multiprocessors");
  CHECK_THAT(shares(128, 1, 16384) == 264, "the most sequences");
  CHECK_THAT(shares(129, 1, 16384) == 0, "too many sequences");
  CHECK_THAT(shares(16, 1, kLongestShared) == 264, "the longest");
  CHECK_THAT(shares(16, 1, kLongestShared + 1) == 0, "too long");
  CHECK_THAT(PlanSplits(Work(16, 8, 16384, false)).num_shares == 0, "no scratch");
}

// CTAs of several short items, if they come in full waves.
void TestItemsOfACta() {
  const auto items = [](int64_t seqs, int64_t heads, int64_t tokens) {
    return 1 << PlanSplits(Work(seqs, heads, tokens, true)).log_items_per_cta;
  };
  CHECK_THAT(items(64, 8, 512) == 2, "one wave of two");
  CHECK_THAT(items(256, 8, 512) == 4, "two waves of four");
  CHECK_THAT(items(256, 32, 512) == 2, "many waves");
  CHECK_THAT(items(16, 8, 512) == 1, "not a wave");
  CHECK_THAT(items(40, 8, 512) == 1, "a wave and a bit");
  CHECK_THAT(items(64, 8, 4096) == 1, "long items");
  SplitWork work = Work(256, 8, 512, true);
  work.cta_warps = 2;
  CHECK_THAT(PlanSplits(work).log_items_per_cta == 1, "a warp for each at least");
}

// Slow memory is read at full speed by fewer CTAs.
void TestSlowerMemory() {
  SplitWork work = Work(8, 8, 16384, true);
  work.has_scratch = false;
  for (const int64_t bandwidth : {int64_t{0}, int64_t{1000000}, kBandwidth}) {
    work.bandwidth = bandwidth;
    Expect(work, bandwidth == 1000000 ? 1 : 2, 1);
  }
}

// What CTAs of the next kernel find while these run.
void TestRoom() {
  const auto plan = [](int64_t seqs, int64_t heads, int64_t tokens) {
    return PlanSplits(Work(seqs, heads, tokens, true));
  };
  CHECK_THAT(plan(1, 8, 16384).alone, "one to a multiprocessor, and a reduction behind");
  CHECK_THAT(!plan(16, 8, 4096).alone && !plan(64, 1, 4096).alone, "no reduction");
  CHECK_THAT(plan(1, 8, 4096).alone, "pairs, and a reduction behind");
  CHECK_THAT(!plan(1, 1, 4096).alone, "large clusters");
  CHECK_THAT(!plan(64, 1, 16384).alone, "shares");
  CHECK_THAT(!plan(64, 8, 512).alone, "several items each");
  CHECK_THAT(plan(1, 8, 16384).ctas_at_once == kProcessors, "one each");
  CHECK_THAT(plan(64, 8, 4096).ctas_at_once == 2 * kProcessors, "two each");
  SplitWork old = Work(1, 8, 16384, true);
  old.has_clusters = false;
  CHECK_THAT(!PlanSplits(old).alone, "kernels that do not overlap");
}

void TestOrder() {
  CHECK_THAT(PlanSplits(Work(64, 8, 16384, true)).longest_first, "many long items");
  CHECK_THAT(!PlanSplits(Work(256, 8, 512, true)).longest_first, "short items");
  CHECK_THAT(!PlanSplits(Work(256, 8, 1024, true)).longest_first, "several items each");
  CHECK_THAT(!PlanSplits(Work(64, 1, 4096, true)).longest_first, "all run at once");
  CHECK_THAT(!PlanSplits(Work(33, 8, 4096, true)).longest_first, "just as many as run at once");
  CHECK_THAT(PlanSplits(Work(34, 8, 4096, true)).longest_first, "a few more");
  CHECK_THAT(!PlanSplits(Work(1, 1024, 16384, true)).longest_first, "one sequence");
  SplitWork shared = Work(64, 16, 16384, true);
  shared.reads_once = false;
  CHECK_THAT(!PlanSplits(shared).longest_first, "keys that two CTAs read");
  CHECK_THAT(!PlanSplits(Work(64, 1, 4096, true)).short_rings, "pairs, one to a processor");
  CHECK_THAT(PlanSplits(Work(200, 1, 16384, true)).short_rings, "pairs, two to a processor");
  CHECK_THAT(PlanSplits(Work(1, 8, 16384, true)).short_rings, "heads that lie beside each other");
  SplitWork narrow = Work(1, 8, 16384, true);
  narrow.fp8 = true;
  CHECK_THAT(!PlanSplits(narrow).short_rings, "fp8, a split for each processor");
  CHECK_THAT(!PlanSplits(Work(132, 1, 4096, true)).short_rings, "one to each processor");
  CHECK_THAT(PlanSplits(Work(64, 8, 4096, true)).short_rings, "two to a processor");
  SplitWork wide = Work(24, 1, 3072, true);
  wide.bytes_per_token = 1024;
  CHECK_THAT(PlanSplits(wide).num_shares == 120 && PlanSplits(wide).short_rings,
             "shares, and beside them the last ones");
  CHECK_THAT(!PlanSplits(Work(1, 8, 512, true)).short_rings, "clusters of 4 on some processors");
  CHECK_THAT(!PlanSplits(Work(1, 8, 2048, true)).short_rings, "clusters of 8 on some processors");
  CHECK_THAT(PlanSplits(Work(1, 32, 16384, false)).short_rings, "clusters of 16 on all of them");
  SplitWork old = Work(64, 1, 4096, true);
  old.has_clusters = false;
  CHECK_THAT(!PlanSplits(old).short_rings, "copies of sm_80");
}

}  // namespace
}  // namespace stablekv

int main() {
  stablekv::TestValid();
  stablekv::TestMeasured();
  stablekv::TestMeasuredFp8();
  stablekv::TestShares();
  stablekv::TestItemsOfACta();
  stablekv::TestSlowerMemory();
  stablekv::TestRoom();
  stablekv::TestOrder();
  return stablekv::testing::Finish();
}
