#include "csrc/kernels/attention/cuda/mma/split_plan.h"

#include <algorithm>
#include <limits>

#include "csrc/kernels/attention/cuda/length_splits.h"
#include "csrc/kernels/attention/cuda/mma/mma_args.h"
#include "csrc/kernels/attention/cuda/share_plan.h"
#include "csrc/kernels/attention/paged_attention.h"
#include "csrc/kernels/common/divide.h"

namespace stablekv {
namespace {

// Of keys and values for one item: more leaves multiprocessors idle for long, should the other
// sequences be shorter, or all be shorter than the call says.
constexpr int64_t kBytesOfALongItem = 3 << 20;

// Of all keys and values: less is read in the time that shares take to be worked out.
constexpr int64_t kBytesWorthShares = 48 << 20;

// Multiprocessors for each item: with more, its own splits keep them as busy as shares, and are
// better where lengths are even.
constexpr int64_t kProcessorsOfShares = 11;

// From so many shares a sequence on, one more for its last tokens costs little.
constexpr int64_t kSharesOfFewSequences = 8;

// Tokens of a share, should all sequences be as long as the call says: two thirds as many, of half
// as many tokens more each, take less time if these are so few, and 16-bit.
constexpr int64_t kTokensOfAShortShare = 512;

// Of keys and values for a CTA that takes several items: with more, a few CTAs would end alone.
constexpr int64_t kBytesOfShortItems = 1 << 20;

// How full the waves of CTAs of several items must be, in 256ths.
constexpr int64_t kFullWave = 218;

// Of keys and values for one CTA: less is read before an order by length is found.
constexpr int64_t kBytesWorthAnOrder = 512 << 10;

int64_t ItemBytes(const SplitWork& work) { return work.max_seq_len * work.bytes_per_token; }

// How fast a plan reads and what it costs beside that, in microseconds. Fitted to 1,800 times of
// plans for 260 kinds of work on an H200: the plan with the least estimate is 0.1 % slower than the
// best one in the mean, 6 % at most.
constexpr double kBytesOfACta = 47000;  // that one on a multiprocessor takes in a microsecond
constexpr double kReadableBandwidth = 0.93;
constexpr double kReduction = 1.4;
constexpr double kReductionOfASplit = 0.03;
constexpr double kMisfit = 0.5;

constexpr double CostOfCluster(int size) { return size == 1 ? 0.0 : size <= 8 ? 0.6 : 1.2; }

// Clusters of 4 and more that need nearly all multiprocessors do not find them free together: some
// multiprocessors get two CTAs. WavesOfMisfit is what that multiplies the time by.
bool IsMisfit(int cluster_size, int64_t ctas, int64_t processors) {
  return cluster_size >= 4 && 4 * ctas > 3 * processors;
}
constexpr double WavesOfMisfit(int cluster_size) { return cluster_size <= 8 ? 1.85 : 1.8; }

// Microseconds, less what any plan takes, should all sequences be as long as the call says.
double Estimate(const SplitWork& work, int cluster_size, int64_t num_splits, int64_t split_tokens) {
  const int64_t ctas = work.items * cluster_size * num_splits;
  const bool misfit = IsMisfit(cluster_size, ctas, work.num_processors);
  const double waves = static_cast<double>(CeilDivide(ctas, work.num_processors)) *
                       (misfit ? WavesOfMisfit(cluster_size) : 1.0);
  const int64_t cta_tokens =
      std::max<int64_t>(std::min(split_tokens, work.max_seq_len) / cluster_size, work.cta_tokens);
  double time = static_cast<double>(cta_tokens * work.bytes_per_token) * waves / kBytesOfACta;
  if (work.bandwidth > 0) {
    const double bytes = static_cast<double>(work.items * ItemBytes(work));
    time = std::max(time, bytes / (kReadableBandwidth * static_cast<double>(work.bandwidth)));
  }
  time += CostOfCluster(cluster_size) + (misfit ? kMisfit : 0.0);
  if (num_splits > 1) time += kReduction + kReductionOfASplit * static_cast<double>(num_splits);
  return time;
}

// The clusters and splits with the least estimate. Each multiprocessor gets one CTA: every further
// one costs its start and its end. Without splits, clusters of 16 may be more than that, which
// evens out how badly they fit.
SplitPlan Cut(const SplitWork& work) {
  SplitPlan best = {};
  double least = std::numeric_limits<double>::infinity();
  const int64_t rows = work.has_scratch ? CeilDivide(work.max_seq_len, kPartitionSize) : 1;
  for (int size = 1; size <= (work.has_clusters ? kMostClusterSize : 1); size *= 2) {
    const int64_t room = work.num_processors / (work.items * size);
    const bool evens_out =
        size == kMostClusterSize && !work.has_scratch && 2 * work.items <= work.num_processors;
    if (size > 1 && room == 0 && !evens_out) continue;
    for (int64_t most = std::max<int64_t>(std::min(room, rows), 1); most > 0; most /= 2) {
      const int64_t tokens =
          SplitTokens(CeilDivide(work.max_seq_len, most), FewestSplitTokens(size, work.cta_tokens));
      const int64_t splits = std::max<int64_t>(CeilDivide(work.max_seq_len, tokens), 1);
      const double estimate = Estimate(work, size, splits, tokens);
      if (estimate >= least) continue;
      least = estimate;
      best.cluster_size = size;
      best.num_splits = static_cast<int>(splits);
    }
  }
  return best;
}

// Whether items may be put in the order of lengths: not where several tiles share keys and values,
// which the order would pull apart.
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
         work.num_processors / work.items <= kProcessorsOfShares &&
         ItemBytes(work) >= kBytesOfALongItem && work.items * ItemBytes(work) >= kBytesWorthShares;
}

// As many shares as CTAs run at once, as far as there are rows for them: a sequence has one for its
// last share and those of kPartitionSize tokens each. Last shares are CTAs beside these, and the
// reduction does not come near before all have begun: of fp8, a few are to run at once too. Many
// would make the others too large.
void SetShares(const SplitWork& work, SplitPlan* plan) {
  const int64_t running = 2 * work.num_processors / (work.items / work.num_seqs);
  const bool few = kSharesOfFewSequences * work.num_seqs <= running;
  const bool are_short = work.num_seqs * work.max_seq_len <= kTokensOfAShortShare * running;
  int64_t shares = running;
  if (few && work.fp8) {
    shares -= work.num_seqs;
  } else if (few && are_short) {
    shares = running * 2 / 3;
  }
  const int64_t rows = work.num_seqs * (CeilDivide(work.max_seq_len, kPartitionSize) - 1);
  plan->num_shares = static_cast<int>(std::min(shares, rows));
  plan->fills_shares = few && work.fp8;
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

// CTAs of a plan, some of which may have nothing to do.
int64_t CtasOf(const SplitPlan& plan, const SplitWork& work) {
  if (plan.num_shares == 0) {
    return CeilDivide(work.items, 1 << plan.log_items_per_cta) * plan.cluster_size *
           plan.num_splits;
  }
  return work.items / work.num_seqs * (plan.num_shares + work.num_seqs);
}

// More loads in flight than needed make multiprocessors wait unequally. CTAs of large
// clusters that leave multiprocessors idle have need of it, and those that have one to themselves
// if fp8 takes them long to widen, or if no head's blocks lie beside those of another.
bool NeedsLongRings(const SplitWork& work, int cluster_size, int64_t ctas) {
  if (cluster_size > 2) return 2 * ctas <= work.num_processors;
  return ctas <= work.num_processors && (work.fp8 || work.items == work.num_seqs);
}

// A plan without what only depends on it.
SplitPlan CutOrShare(const SplitWork& work) {
  SplitPlan plan = {};
  plan.cluster_size = 1;
  plan.num_splits = 1;
  if (IsForShares(work)) {
    SetShares(work, &plan);
  } else if (AreLongAndAllAtOnce(work)) {
    plan.cluster_size = 2;
  } else {
    plan = Cut(work);
    if (plan.cluster_size == 1 && plan.num_splits == 1) {
      plan.log_items_per_cta = LogItemsPerCta(work);
    }
  }
  return plan;
}

}  // namespace

SplitPlan PlanSplits(const SplitWork& work) {
  SplitPlan plan = CutOrShare(work);
  const bool cut = plan.num_shares == 0 && plan.log_items_per_cta == 0;
  const int64_t ctas = CtasOf(plan, work);
  // As long as all CTAs run at once, their order does not matter. Two fit on a multiprocessor.
  plan.longest_first =
      cut && CanBeOrdered(work) && ctas > 2 * work.num_processors &&
      ItemBytes(work) / (plan.cluster_size * plan.num_splits) >= kBytesWorthAnOrder;
  plan.short_rings = work.has_clusters && !NeedsLongRings(work, plan.cluster_size, ctas);
  SetRoom(work, &plan);
  return plan;
}

void SetRoom(const SplitWork& work, SplitPlan* plan) {
  plan->alone = work.has_clusters && plan->num_splits > 1 && plan->cluster_size <= 2 &&
                CtasOf(*plan, work) <= work.num_processors;
  plan->ctas_at_once = static_cast<unsigned>((plan->alone ? 1 : 2) * work.num_processors);
}

}  // namespace stablekv
