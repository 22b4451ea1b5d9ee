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
    Run run = FirstRun(plan, begin, end - begin);
    while (begin < end) {
      const int64_t next_begin = begin + run.kv_heads;
      const Run next = NextRun(plan, run, end - next_begin);
      RunOne(plan, begin, run, next_begin < end ? &next : nullptr);
      run = next;
      begin = next_begin;
    }
  }

  static void CombineRows(const AttentionPlan& plan, int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      CombineRow(plan, row / plan.params.num_heads, row % plan.params.num_heads);
    }
  }

 private:
  using Softmax = AttentionSoftmax<Vec>;
  template <VecFormat kFormat>
  using Pass = AttentionPass<typename Vec::template UnitFor<kFormat>, kFormat>;

  // Items next to each other, of one partition.
  struct Run {
    int64_t seq;
    int64_t partition;
    int64_t kv_head;   // the first of
    int64_t kv_heads;  // so many
  };

  // The longest that begins with item `index`, of at most `items`.
  static Run FirstRun(const AttentionPlan& plan, int64_t index, int64_t items) {
    int64_t low = 0;  // the last sequence whose items begin at or before `index` and are not none
    int64_t high = plan.params.num_seqs;
    while (high - low > 1) {
      const int64_t middle = (low + high) / 2;
      (plan.first_items[middle] <= index ? low : high) = middle;
    }
    const int64_t within = index - plan.first_items[low];
    const int64_t kv_head = within % plan.params.num_kv_heads;
    return {low, within / plan.params.num_kv_heads, kv_head, LongestRun(plan, kv_head, items)};
  }

  // The longest after `run`, of at most `items`. Past the last item, `seq` is num_seqs.
  static Run NextRun(const AttentionPlan& plan, Run run, int64_t items) {
    run.kv_head += run.kv_heads;
    if (run.kv_head == plan.params.num_kv_heads) {
      run.kv_head = 0;
      if (++run.partition == NumPartitions(plan, run.seq)) {
        run.partition = 0;
        while (++run.seq < plan.params.num_seqs && NumPartitions(plan, run.seq) == 0) {
        }
      }
    }
    run.kv_heads = LongestRun(plan, run.kv_head, items);
    return run;
  }

  static int64_t LongestRun(const AttentionPlan& plan, int64_t kv_head, int64_t items) {
    const int64_t left = plan.params.num_kv_heads - kv_head;
    const int64_t most = items < plan.run_heads ? items : plan.run_heads;
    return left < most ? left : most;
  }

  // The blocks of `run` that `head` attends to; `places` is room for them.
  static BlockList ListBlocks(const AttentionPlan& plan, const Run& run, int64_t head,
                              int32_t* places) {
    const PagedAttentionParams& params = plan.params;
    const int64_t length = params.seq_lens[run.seq];
    const int64_t tokens = ItemTokens(length);
    const int64_t begin = run.partition * tokens;
    const int64_t end = length - begin < tokens ? length : begin + tokens;
    const int64_t last = (end - 1) / params.block_size;
    BlockList list{params.block_tables + run.seq * params.block_tables_stride,
                   run.kv_head,
                   run.kv_heads,
                   places,
                   0,
                   params.block_size};
    for (int64_t block = begin / params.block_size; block <= last; ++block) {
      if (!AttendsTo(plan, run.seq, head, block)) continue;
      places[list.count++] = static_cast<int32_t>(block);
      if (block == last) list.last_tokens = end - last * params.block_size;
    }
    return list;
  }

  // Room for the results of a pass.
  struct Sums {
    AttentionSums view() { return {out, max, sum}; }

    alignas(64) float out[kPassElements];
    float max[kPassRows];
    float sum[kPassRows];
  };

  static void RunOne(const AttentionPlan& plan, int64_t index, const Run& run, const Run* next) {
    const int64_t first_head = run.kv_head * plan.group;
    // Heads that attend to different blocks cannot share a pass: a NaN in a block must not reach
    // the heads that skip it.
    const int64_t most = plan.sparse_by_head ? 1 : kPassHeads;
    int32_t places[kMostItemBlocks];
    int32_t next_places[kMostItemBlocks];
    BlockList after{};  // what is read when this run is done
    if (next != nullptr) {
      after = ListBlocks(plan, *next, next->kv_head * plan.group, next_places);
    }
    Sums own_sums;
    const bool partial = NumPartitions(plan, run.seq) > 1;
    for (int64_t g = 0; g < plan.group; g += most) {
      const int64_t heads = plan.group - g < most ? plan.group - g : most;
      const BlockList blocks = ListBlocks(plan, run, first_head + g, places);
      const BlockList nothing{};
      const int64_t rows = run.kv_heads * heads;
      const AttentionSums sums = partial ? Partials(plan, index, g) : own_sums.view();
      // Stores into memory that no cache holds would stop the work between two passes.
      if (partial) Fetch(sums.out, rows * plan.params.head_size);
      if (blocks.count == 0) {
        Clear(rows, plan.params.head_size, sums);
      } else {
        RunPass(plan, run.seq, first_head + g, heads, blocks,
                g + heads == plan.group ? after : nothing, sums);
      }
      if (partial) continue;
      for (int64_t row = 0; row < rows; ++row) {
        WriteOut(plan, run.seq, first_head + g + row, sums.sum[row],
                 sums.out + row * plan.params.head_size);
      }
    }
  }

  // Where the partial results of item `index` are from head g of its group on.
  static AttentionSums Partials(const AttentionPlan& plan, int64_t index, int64_t g) {
    const int64_t row = (index - plan.first_partial_item) * plan.group + g;
    return {plan.partial_out + row * plan.params.head_size, plan.partial_max + row,
            plan.partial_sum + row};
  }

  static void Fetch(const float* from, int64_t count) {
    for (int64_t i = 0; i < count; i += 16) __builtin_prefetch(from + i, 1, 2);
  }

  static void Clear(int64_t rows, int64_t head_size, const AttentionSums& sums) {
    for (int64_t row = 0; row < rows; ++row) {
      sums.max[row] = kMinusInfinity;
      sums.sum[row] = 0;
    }
    for (int64_t i = 0; i < rows * head_size; ++i) sums.out[i] = 0;
  }

  static void RunPass(const AttentionPlan& plan, int64_t seq, int64_t head, int64_t heads,
                      const BlockList& blocks, const BlockList& next, const AttentionSums& sums) {
    switch (plan.cache_format) {
      case VecFormat::kFloat32:
        return Pass<VecFormat::kFloat32>::Run(plan, seq, head, heads, blocks, next, sums);
      case VecFormat::kFloat16:
        return Pass<VecFormat::kFloat16>::Run(plan, seq, head, heads, blocks, next, sums);
      case VecFormat::kBFloat16:
        return Pass<VecFormat::kBFloat16>::Run(plan, seq, head, heads, blocks, next, sums);
      case VecFormat::kFp8E4M3:
        return Pass<VecFormat::kFp8E4M3>::Run(plan, seq, head, heads, blocks, next, sums);
      case VecFormat::kFp8E5M2:
        return Pass<VecFormat::kFp8E5M2>::Run(plan, seq, head, heads, blocks, next, sums);
    }
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
