// In what order a pass of attention reads the blocks of the cache.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_ORDER_CPU_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_ORDER_CPU_H_

#include <cstdint>

#include "csrc/kernels/attention/attention_blocks_cpu.h"
#include "csrc/kernels/attention/attention_pass_cpu.h"
#include "csrc/kernels/attention/attention_plan_cpu.h"

namespace stablekv {

// Blocks of one kv head that are read together.
struct BlockGroup {
  static constexpr int64_t kBlocks = 4;  // a core's own prefetcher follows as many well

  const uint8_t* blocks[kBlocks];  // the last one again, where there are fewer
};

// Where to fetch while another group is worked on.
struct GroupsAhead {
  BlockGroup group;  // from byte `begin` of each block on
  BlockGroup next;   // from the start, when that is done
  int64_t begin;
  int64_t block_bytes;  // of one kv head
};

// The groups of the keys, of the values, and the first ones of the next pass's keys. Those of the
// kv heads of the same blocks follow each other, as they do in memory: a stretch of 32 KiB is read
// faster than one of 4 (docs/decode_cpu.md).
//
// A template over the vector unit as all of its code is, so that the units share no symbol.
template <class Vec>
class AttentionOrder {
 public:
  AttentionOrder(const AttentionPlan& plan, const BlockList& blocks, const BlockList& next)
      : kv_heads_(blocks.kv_heads),
        head_bytes_(plan.params.head_size * plan.params.block_size * plan.cache_bytes),
        ahead_(kAhead / head_bytes_) {
    using Blocks = AttentionBlocks<Vec>;
    Blocks::FindKeys(plan, blocks, blocks_);
    const int64_t places = Fill(blocks_, blocks.count);
    Blocks::FindValues(plan, blocks, blocks_ + places);
    Fill(blocks_ + places, blocks.count);
    groups_ = places / BlockGroup::kBlocks * kv_heads_;
    all_groups_ = 2 * groups_;
    if (next.count > 0) {
      // As many as are fetched before this pass is done.
      BlockList first = next;
      const int64_t most = (ahead_ / kv_heads_ + 1) * BlockGroup::kBlocks;
      if (first.count > most) first.count = most;
      Blocks::FindKeys(plan, first, blocks_ + 2 * places);
      all_groups_ += Fill(blocks_ + 2 * places, first.count) / BlockGroup::kBlocks * kv_heads_;
    }
  }

  // Groups of the keys, and of the values.
  int64_t groups() const { return groups_; }

  BlockGroup Keys(int64_t group) const { return At(group); }
  BlockGroup Values(int64_t group) const { return At(groups_ + group); }

  GroupsAhead AheadOfKeys(int64_t group) const { return AheadOf(group); }
  GroupsAhead AheadOfValues(int64_t group) const { return AheadOf(groups_ + group); }

 private:
  // Bytes of each block: far enough for lines to arrive, and near enough for those of four blocks
  // to be in the first-level cache still.
  static constexpr int64_t kAhead = 3072;

  GroupsAhead AheadOf(int64_t group) const {
    return {At(group + ahead_), At(group + ahead_ + 1), kAhead % head_bytes_, head_bytes_};
  }

  // Past the last group it is that one again.
  BlockGroup At(int64_t group) const {
    if (group >= all_groups_) group = all_groups_ - 1;
    const uint8_t* const* const from = blocks_ + group / kv_heads_ * BlockGroup::kBlocks;
    const int64_t offset = group % kv_heads_ * head_bytes_;
    BlockGroup found;
#pragma GCC unroll 4
    for (int64_t i = 0; i < BlockGroup::kBlocks; ++i) found.blocks[i] = from[i] + offset;
    return found;
  }

  // Repeats the last of `count` blocks up to whole groups; returns how many there are then.
  static int64_t Fill(const uint8_t** blocks, int64_t count) {
    const int64_t last = count - 1;
    for (; count % BlockGroup::kBlocks != 0; ++count) blocks[count] = blocks[last];
    return count;
  }

  int64_t kv_heads_;
  int64_t head_bytes_;  // of a block
  int64_t ahead_;       // groups
  int64_t groups_;
  int64_t all_groups_;  // with the values' and the next pass's
  const uint8_t* blocks_[3 * kMostItemBlocks];
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_ORDER_CPU_H_
