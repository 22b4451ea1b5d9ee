// Runs the work items of an AttentionPlan on one vector unit and combines their partial results.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_ITEMS_CPU_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_ITEMS_CPU_H_

#include <cstdint>

#include "csrc/kernels/attention/attention_pass_cpu.h"
#include "csrc/kernels/attention/attention_plan_cpu.h"
#include "csrc/kernels/attention/attention_softmax_cpu.h"

namespace stablekv {

template <class Vec>
class AttentionItems {
 public:
  static void RunItems(const AttentionPlan& plan, int64_t begin, int64_t end) {
    Item item = FirstItem(plan, begin);
    for (int64_t i = begin; i < end; ++i) {
      Item next = item;
      Advance(plan, &next);
      RunItem(plan, i, item, i + 1 < end ? &next : nullptr);
      item = next;
    }
  }

  static void CombineRows(const AttentionPlan& plan, int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      CombineRow(plan, row / plan.params.num_heads, row % plan.params.num_heads);
    }
  }

 private:
  using Softmax = AttentionSoftmax<Vec>;

  struct Item {
    int64_t seq;
    int64_t kv_head;
    int64_t partition;
  };

  static Item FirstItem(const AttentionPlan& plan, int64_t index) {
    int64_t low = 0;  // the last sequence whose items begin at or before `index` and are not none
    int64_t high = plan.params.num_seqs;
    while (high - low > 1) {
      const int64_t middle = (low + high) / 2;
      (plan.first_items[middle] <= index ? low : high) = middle;
    }
    const int64_t within = index - plan.first_items[low];
    return {low, within % plan.params.num_kv_heads, within / plan.params.num_kv_heads};
  }

  // Past the last item, `seq` is num_seqs.
  static void Advance(const AttentionPlan& plan, Item* item) {
    if (++item->kv_head < plan.params.num_kv_heads) return;
    item->kv_head = 0;
    if (++item->partition < NumPartitions(plan, item->seq)) return;
    item->partition = 0;
    while (++item->seq < plan.params.num_seqs && NumPartitions(plan, item->seq) == 0) {
    }
  }

  // The blocks of `item` that `head` attends to; `places` is room for them.
  static BlockList ListBlocks(const AttentionPlan& plan, const Item& item, int64_t head,
                              int32_t* places) {
    const PagedAttentionParams& params = plan.params;
    const int64_t length = params.seq_lens[item.seq];
    const int64_t begin = item.partition * kPartitionSize;
    const int64_t end = length - begin < kPartitionSize ? length : begin + kPartitionSize;
    const int64_t last = (end - 1) / params.block_size;
    BlockList list{params.block_tables + item.seq * params.block_tables_stride, item.kv_head,
                   places, 0, params.block_size};
    for (int64_t block = begin / params.block_size; block <= last; ++block) {
      if (!AttendsTo(plan, item.seq, head, block)) continue;
      places[list.count++] = static_cast<int32_t>(block);
      if (block == last) list.last_tokens = end - last * params.block_size;
    }
    return list;
  }

  // Its blocks [first, first + tile_blocks), or those of them that there are.
  static BlockList Tile(const AttentionPlan& plan, BlockList blocks, int64_t first) {
    blocks.places += first;
    blocks.count -= first;
    if (blocks.count > plan.tile_blocks) {
      blocks.count = plan.tile_blocks;
      blocks.last_tokens = plan.params.block_size;
    }
    return blocks;
  }

  static void RunItem(const AttentionPlan& plan, int64_t index, const Item& item,
                      const Item* next) {
    const int64_t first_head = item.kv_head * plan.group;
    // Heads that attend to different blocks cannot share a pass: a NaN in a block must not reach
    // the heads that skip it.
    const int64_t most = plan.sparse_by_head ? 1 : kPassHeads;
    int32_t places[kMaxPartitionBlocks];
    int32_t next_places[kMaxPartitionBlocks];
    BlockList after{};  // what is read when this item is done
    if (next != nullptr) {
      after = Tile(plan, ListBlocks(plan, *next, next->kv_head * plan.group, next_places), 0);
    }
    AttentionSums sums;
    for (int64_t g = 0; g < plan.group; g += most) {
      const int64_t heads = plan.group - g < most ? plan.group - g : most;
      const BlockList blocks = ListBlocks(plan, item, first_head + g, places);
      const BlockList nothing{};
      FetchPartials(plan, index, item, g, heads);
      RunTiles(plan, item.seq, first_head + g, heads, blocks,
               g + heads == plan.group ? after : nothing, &sums);
      for (int64_t h = 0; h < heads; ++h) {
        WriteSums(plan, index, item, g + h, sums.max[h], sums.sum[h],
                  sums.out + h * plan.params.head_size);
      }
    }
  }

  static void RunTiles(const AttentionPlan& plan, int64_t seq, int64_t head, int64_t heads,
                       const BlockList& blocks, const BlockList& after, AttentionSums* sums) {
    if (blocks.count == 0) return Clear(heads, plan.params.head_size, sums);
    AttentionSums tile_sums;
    for (int64_t first = 0; first < blocks.count; first += plan.tile_blocks) {
      const int64_t second = first + plan.tile_blocks;
      RunPass(plan, seq, head, heads, Tile(plan, blocks, first),
              second < blocks.count ? Tile(plan, blocks, second) : after,
              first == 0 ? sums : &tile_sums);
      if (first > 0) Merge(heads, plan.params.head_size, tile_sums, sums);
    }
  }

  static void Clear(int64_t heads, int64_t head_size, AttentionSums* sums) {
    for (int64_t h = 0; h < heads; ++h) {
      sums->max[h] = kMinusInfinity;
      sums->sum[h] = 0;
    }
    for (int64_t i = 0; i < heads * head_size; ++i) sums->out[i] = 0;
  }

  // Adds `from`, brought to the larger of the two maxima, to `to`.
  static void Merge(int64_t heads, int64_t head_size, const AttentionSums& from,
                    AttentionSums* to) {
    for (int64_t h = 0; h < heads; ++h) {
      const float max = from.max[h] > to->max[h] ? from.max[h] : to->max[h];
      const float base = max == kMinusInfinity ? 0 : max;
      const float from_scale = Softmax::ExpOne(from.max[h] - base);
      const float to_scale = Softmax::ExpOne(to->max[h] - base);
      to->max[h] = max;
      to->sum[h] = to->sum[h] * to_scale + from.sum[h] * from_scale;
      float* const out = to->out + h * head_size;
      for (int64_t d = 0; d < head_size; ++d) {
        out[d] = out[d] * to_scale + from.out[h * head_size + d] * from_scale;
      }
    }
  }

  static void RunPass(const AttentionPlan& plan, int64_t seq, int64_t head, int64_t heads,
                      const BlockList& blocks, const BlockList& next, AttentionSums* sums) {
    switch (plan.cache_format) {
      case VecFormat::kFloat32:
        return AttentionPass<Vec, VecFormat::kFloat32>::Run(plan, seq, head, heads, blocks, next,
                                                            sums);
      case VecFormat::kFloat16:
        return AttentionPass<Vec, VecFormat::kFloat16>::Run(plan, seq, head, heads, blocks, next,
                                                            sums);
      case VecFormat::kBFloat16:
        return AttentionPass<Vec, VecFormat::kBFloat16>::Run(plan, seq, head, heads, blocks, next,
                                                             sums);
      case VecFormat::kFp8E4M3:
        return AttentionPass<Vec, VecFormat::kFp8E4M3>::Run(plan, seq, head, heads, blocks, next,
                                                            sums);
      case VecFormat::kFp8E5M2:
        return AttentionPass<Vec, VecFormat::kFp8E5M2>::Run(plan, seq, head, heads, blocks, next,
                                                            sums);
    }
  }

  static void WriteSums(const AttentionPlan& plan, int64_t index, const Item& item, int64_t g,
                        float max, float sum, float* out) {
    const int64_t head = item.kv_head * plan.group + g;
    if (NumPartitions(plan, item.seq) == 1) {
      WriteOut(plan, item.seq, head, sum, out);
    } else {
      WritePartial(plan, (index - plan.first_partial_item) * plan.group + g, max, sum, out);
    }
  }

  // Stores into memory that no cache holds would stop the work between two passes.
  static void FetchPartials(const AttentionPlan& plan, int64_t index, const Item& item, int64_t g,
                            int64_t heads) {
    if (NumPartitions(plan, item.seq) == 1) return;
    const int64_t head_size = plan.params.head_size;
    const float* const rows =
        plan.partial_out + ((index - plan.first_partial_item) * plan.group + g) * head_size;
    for (int64_t i = 0; i < heads * head_size; i += 16) __builtin_prefetch(rows + i, 1, 2);
  }

  static void WritePartial(const AttentionPlan& plan, int64_t row, float max, float sum,
                           const float* out) {
    plan.partial_max[row] = max;
    plan.partial_sum[row] = sum;
    float* const to = plan.partial_out + row * plan.params.head_size;
    for (int64_t d = 0; d < plan.params.head_size; ++d) to[d] = out[d];
  }

  // Divides by the sum and rounds. A sum of 0 is that of no tokens, or of logits that are all -Inf.
  static void WriteOut(const AttentionPlan& plan, int64_t seq, int64_t head, float sum,
                       float* out) {
    const PagedAttentionParams& params = plan.params;
    for (int64_t d = 0; d < params.head_size; ++d) {
      out[d] = sum == 0 ? 0 : out[d] / sum * plan.v_scale;
    }
    auto* to = static_cast<uint8_t*>(params.out) +
               (seq * params.out_seq_stride + head * params.out_head_stride) * plan.element_bytes;
    for (int64_t d = 0; d < params.head_size; d += 8) {
      Narrow8(plan.element_format, out + d, to + d * plan.element_bytes);
    }
  }

  static void Narrow8(VecFormat format, const float* from, uint8_t* to) {
    switch (format) {
      case VecFormat::kFloat16:
        return Vec::template Narrow8<VecFormat::kFloat16>(from, to);
      case VecFormat::kBFloat16:
        return Vec::template Narrow8<VecFormat::kBFloat16>(from, to);
      default:
        return Vec::template Narrow8<VecFormat::kFloat32>(from, to);
    }
  }

  static void CombineRow(const AttentionPlan& plan, int64_t seq, int64_t head) {
    const int64_t head_size = plan.params.head_size;
    const int64_t partitions = NumPartitions(plan, seq);
    if (partitions == 1) return;  // written already
    alignas(64) float out[kMaxHeadSize];
    for (int64_t d = 0; d < head_size; ++d) out[d] = 0;
    const int64_t first = (plan.first_items[seq] - plan.first_partial_item) * plan.group + head;
    float max = kMinusInfinity;
    for (int64_t j = 0; j < partitions; ++j) {
      const float value = plan.partial_max[first + j * plan.params.num_heads];
      max = value > max ? value : max;
    }
    const float base = max == kMinusInfinity ? 0 : max;
    float sum = 0;
    for (int64_t j = 0; j < partitions; ++j) {
      const int64_t row = first + j * plan.params.num_heads;
      const float weight = Softmax::ExpOne(plan.partial_max[row] - base);
      sum += plan.partial_sum[row] * weight;
      const float* const from = plan.partial_out + row * head_size;
      for (int64_t d = 0; d < head_size; ++d) out[d] += from[d] * weight;
    }
    WriteOut(plan, seq, head, sum, out);
  }
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_ITEMS_CPU_H_
