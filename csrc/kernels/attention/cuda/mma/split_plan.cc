#include "csrc/kernels/attention/cuda/mma/split_plan.h"

#include <algorithm>

#include "csrc/kernels/attention/cuda/mma/mma_args.h"
#include "csrc/kernels/attention/cuda/share_plan.h"
#include "csrc/kernels/attention/paged_attention.h"

namespace stablekv {
namespace {

// Tokens that give each warp of a CTA a step.
constexpr int64_t kCtaTokens = 128;

// Of keys and values for one CTA: less is read in the time that a second kernel takes.
constexpr int64_t kBytesWorthAReduction = 256 << 10;

// As many splits of one CTA, and more of two, are faster than the other way round.
constexpr int64_t kMostSplitsOfOneCta = 4;

// Of keys and values for one item: more leaves multiprocessors idle for long, should the other
// sequences be shorter, or all be shorter than the call says.
constexpr int64_t kBytesOfALongItem = 3 << 20;

// Shares of a sequence of mean length, at most.
constexpr int64_t kSharesOfASequence = 12;

// Of keys and values for a CTA that takes several items: with more, a few CTAs would end alone.
constexpr int64_t kBytesOfShortItems = 1 << 20;

// Waves of CTAs of several items that are to be this full: parts of a wave, of 256.
constexpr int64_t kFullWave = 218;

// Of keys and values for one CTA: less is read before an order by length is found.
constexpr int64_t kBytesWorthAnOrder = 512 << 10;

constexpr int64_t CeilDivide(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Of keys and values that a CTA takes in a microsecond with a multiprocessor to itself, the part of
// the memory's bandwidth that a kernel gets, and what a reduction takes.
constexpr int64_t kBytesOfACta = 45000;
constexpr double kReadableBandwidth = 0.93;
constexpr double kReductionMicroseconds = 2.5;

// Whether `ctas` of a multiprocessor each leave so much of the bandwidth unused that twice as many
// and a reduction are faster.
bool IsWorthTwoSplits(const SplitWork& work, int64_t ctas) {
  const double bytes = static_cast<double>(work.items * work.max_seq_len * work.bytes_per_token);
  const double rate = static_cast<double>(ctas * kBytesOfACta);
  const double rate_of_splits =
      std::min(2 * rate, kReadableBandwidth * static_cast<double>(work.bandwidth));
  return rate_of_splits > rate && bytes / rate_of_splits + kReductionMicroseconds < bytes / rate;
}

// A CTA on each multiprocessor is enough to read at full speed, and every further one costs its
// start and its end: the largest cluster that does not ask for more. Clusters of 16 find few places
// to run, they pay for few items only.
int ClusterSizeFor(const SplitWork& work) {
  if (!work.has_clusters) return 1;
  int size = 1;
  while (size < 8 && 2 * size * work.items <= work.num_processors &&
         size * kCtaTokens < work.max_seq_len) {
    size *= 2;
  }
  if (size == 8 && 32 * work.items <= work.num_processors && size * kCtaTokens < work.max_seq_len) {
    size = 16;
  }
  return size;
}

int64_t ItemBytes(const SplitWork& work) { return work.max_seq_len * work.bytes_per_token; }

// CTAs that share keys and values are to stay together.
bool CanBeOrdered(const SplitWork& work) {
  return work.reads_once && work.num_seqs > 1 && work.num_seqs <= kMmaMostRanked;
}

// Whether long sequences, a CTA each, would all begin at once: should their lengths differ, some
// multiprocessors would have two long ones. Twice as many CTAs of half the work can have an order.
bool AreLongAndAllAtOnce(const SplitWork& work) {
  return work.has_clusters && CanBeOrdered(work) && work.items > work.num_processors &&
         work.items <= 2 * work.num_processors && ItemBytes(work) >= kBytesOfALongItem;
}

// Whether a CTA or a cluster for each item would do badly if lengths differ.
bool IsForShares(const SplitWork& work) {
  return work.has_scratch && work.num_seqs > 1 && work.num_seqs <= kMostSharing &&
         work.items <= work.num_processors && work.max_seq_len <= kLongestShared &&
         ItemBytes(work) >= kBytesOfALongItem;
}

// As many shares as CTAs run at once, but few enough for the reduction to fetch most at once, and
// as far as there are rows for them: a sequence has one for its last share and those of
// kPartitionSize tokens each.
int SharesFor(const SplitWork& work) {
  const int64_t running = 2 * work.num_processors / (work.items / work.num_seqs);
  const int64_t rows = work.num_seqs * (CeilDivide(work.max_seq_len, kPartitionSize) - 1);
  return static_cast<int>(std::min({running, rows, kSharesOfASequence * work.num_seqs}));
}

// Short items are read at full speed if warps do not wait for each other: several to a CTA, if
// these then come in full waves.
int LogItemsPerCta(const SplitWork& work) {
  const int64_t running = 2 * work.num_processors;
  for (int log_items = 2; log_items > 0; --log_items) {
    const int64_t ctas = CeilDivide(work.items, 1 << log_items);
    const bool many = ctas > 4 * running;
    if (work.cta_warps >> log_items > 0 && !(log_items == 2 && many) &&
        ItemBytes(work) << log_items <= kBytesOfShortItems &&
        256 * ctas >= kFullWave * CeilDivide(ctas, running) * running) {
      return log_items;
    }
  }
  return 0;
}

void SetSplits(const SplitWork& work, int64_t split_tokens, SplitPlan* plan) {
  plan->split_tokens = CeilDivide(split_tokens, kPartitionSize) * kPartitionSize;
  plan->num_splits =
      static_cast<int>(std::max<int64_t>(CeilDivide(work.max_seq_len, plan->split_tokens), 1));
}

// Clusters and splits.
SplitPlan Cut(const SplitWork& work) {
  SplitPlan plan = {};
  plan.cluster_size = ClusterSizeFor(work);
  if (AreLongAndAllAtOnce(work)) plan.cluster_size = 2;
  plan.num_splits = 1;
  plan.split_tokens =
      std::max<int64_t>(CeilDivide(work.max_seq_len, kMmaMostStepTokens), 1) * kMmaMostStepTokens;
  if (IsForShares(work)) {
    plan.cluster_size = 1;
    plan.num_shares = SharesFor(work);
    return plan;
  }
  if (plan.cluster_size == 1) plan.log_items_per_cta = LogItemsPerCta(work);
  const int64_t ctas = work.items * plan.cluster_size;
  const int64_t cta_bytes = work.max_seq_len / plan.cluster_size * work.bytes_per_token;
  const bool full = 2 * ctas > work.num_processors;
  const bool half_full = 4 * ctas > work.num_processors;
  if (!work.has_scratch) {
    // Clusters of 4 and 8 that fill all multiprocessors fit badly among them; with enough to do,
    // more and larger ones even that out.
    if (plan.cluster_size >= 4 && full && cta_bytes >= 4 * kBytesWorthAReduction) {
      plan.cluster_size = 16;
    }
    return plan;
  }
  if (plan.cluster_size >= 4 && full) {
    // The same, with a reduction as the way out.
    if (2 * cta_bytes <= kBytesWorthAReduction) return plan;
    const int64_t share = work.num_processors / work.items;
    plan.cluster_size = share <= kMostSplitsOfOneCta ? 1 : 2;
    SetSplits(work, CeilDivide(work.max_seq_len, share / plan.cluster_size), &plan);
  } else if (!half_full) {
    // Even the largest cluster leaves most multiprocessors idle.
    if (cta_bytes < kBytesWorthAReduction) return plan;
    SetSplits(work,
              CeilDivide(work.max_seq_len, std::max<int64_t>(work.num_processors / (2 * ctas), 1)),
              &plan);
  } else if (!full && IsWorthTwoSplits(work, ctas)) {
    SetSplits(work, CeilDivide(work.max_seq_len, 2), &plan);
  }
  return plan;
}

}  // namespace

SplitPlan PlanSplits(const SplitWork& work) {
  SplitPlan plan = Cut(work);
  if (plan.num_shares > 0 || plan.log_items_per_cta > 0) {
    plan.short_rings = work.has_clusters;
    return plan;
  }
  const int64_t ctas = work.items * plan.cluster_size * plan.num_splits;
  const int64_t cta_bytes = plan.split_tokens / plan.cluster_size * work.bytes_per_token;
  // As long as all CTAs run at once, their order does not matter. Two fit on a multiprocessor.
  plan.longest_first =
      CanBeOrdered(work) && ctas > 2 * work.num_processors && cta_bytes >= kBytesWorthAnOrder;
  // What is on its way beyond need makes some multiprocessors wait longer than others. CTAs of
  // large clusters that leave multiprocessors idle have need of it.
  plan.short_rings =
      work.has_clusters && (plan.cluster_size <= 2 || 2 * ctas > work.num_processors);
  return plan;
}

}  // namespace stablekv
