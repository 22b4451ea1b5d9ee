#include "csrc/kernels/attention/paged_attention_cpu.h"

#include <algorithm>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "csrc/kernels/attention/attention_plan_cpu.h"
#include "csrc/kernels/attention/paged_attention_check_cpu.h"

namespace stablekv {
namespace {

// Cache elements that are worth handing to another thread.
constexpr int64_t kGrainElements = 128 * 1024;

const AttentionFunctions& FunctionsOf(CpuIsa isa) {
#ifdef __x86_64__
  if (isa == CpuIsa::kAmx) return kAttentionAmx;
  if (isa == CpuIsa::kAvx512Bf16) return kAttentionAvx512Bf16;
  if (isa == CpuIsa::kAvx512Vbmi) return kAttentionAvx512Vbmi;
  if (isa == CpuIsa::kAvx512) return kAttentionAvx512;
  if (isa == CpuIsa::kAvx2) return kAttentionAvx2;
#endif
  (void)isa;
  return kAttentionPortable;
}

// kv heads that are next to each other in every block are read as one, which is faster: the core's
// own prefetcher goes on from one to the next (docs/decode_cpu.md).
int64_t RunHeads(const AttentionPlan& plan) {
  const PagedAttentionParams& params = plan.params;
  const int64_t head_elements = params.head_size * params.block_size;
  if (params.key_cache_head_stride != head_elements ||
      params.value_cache_head_stride != head_elements) {
    return 1;
  }
  if (plan.sparse) return 1;  // heads may attend to different blocks
  const int64_t rows = RowsOf(plan.group);
  return std::max<int64_t>(1,
                           std::min(kPassRows / rows, kPassElements / (rows * params.head_size)));
}

AttentionPlan MakePlan(const PagedAttentionParams& params, const AttentionFunctions& functions) {
  AttentionPlan plan{};
  plan.params = params;
  plan.cache_format = VecFormatOf(params.cache, params.element);
  plan.element_format = VecFormatOf(params.element);
  plan.cache_bytes = SizeOf(params.cache, params.element);
  plan.element_bytes = SizeOf(params.element);
  plan.group = params.num_kv_heads > 0 ? params.num_heads / params.num_kv_heads : 0;
  plan.k_scale = params.cache == CacheType::kAuto ? 1.0f : *params.k_scale;
  plan.v_scale = params.cache == CacheType::kAuto ? 1.0f : *params.v_scale;
  plan.sparse = params.block_sparse.active();
  plan.sparse_by_head = plan.sparse && plan.group > 1 && params.block_sparse.head_sliding_step > 0;
  plan.run_heads = RunHeads(plan);
  plan.pairs = functions.pairs && plan.element_format == VecFormat::kBFloat16;
  return plan;
}

std::vector<int64_t> FirstItems(const AttentionPlan& plan) {
  std::vector<int64_t> first_items{0};
  first_items.reserve(static_cast<size_t>(plan.params.num_seqs) + 1);
  for (int64_t seq = 0; seq < plan.params.num_seqs; ++seq) {
    first_items.push_back(first_items.back() + NumPartitions(plan, seq) * plan.params.num_kv_heads);
  }
  return first_items;
}

int64_t TotalTokens(const PagedAttentionParams& params) {
  int64_t tokens = 0;
  for (int64_t seq = 0; seq < params.num_seqs; ++seq) tokens += params.seq_lens[seq];
  return tokens;
}

// Where batches of sequences end that have at most `most_items` items together, or are of one.
std::vector<int64_t> BatchEnds(const std::vector<int64_t>& first_items, int64_t most_items) {
  const auto seqs = static_cast<int64_t>(first_items.size()) - 1;
  std::vector<int64_t> ends;
  for (int64_t seq = 0; seq < seqs; seq = ends.back()) {
    int64_t end = seq + 1;
    while (end < seqs && first_items[end + 1] - first_items[seq] <= most_items) ++end;
    ends.push_back(end);
  }
  return ends;
}

// All sequences, batch after batch.
void RunBatches(const AttentionFunctions& functions, const std::vector<int64_t>& first_items,
                const std::vector<int64_t>& ends, bool combine, ParallelFor parallel_for,
                AttentionPlan* plan) {
  const PagedAttentionParams& params = plan->params;
  const int64_t elements = 2 * TotalTokens(params) * params.num_kv_heads * params.head_size;
  const int64_t grain =
      std::max<int64_t>(1, kGrainElements * first_items.back() / std::max<int64_t>(1, elements));
  int64_t seq = 0;
  for (const int64_t end : ends) {
    plan->first_partial_item = first_items[seq];
    if (first_items[end] > first_items[seq]) {
      RunParallel(parallel_for, first_items[end] - first_items[seq], grain,
                  [&](int64_t first, int64_t last) {
                    functions.run_items(*plan, first_items[seq] + first, first_items[seq] + last);
                  });
    }
    if (combine) {
      RunParallel(parallel_for, (end - seq) * params.num_heads, 64,
                  [&](int64_t first, int64_t last) {
                    functions.combine_rows(*plan, seq * params.num_heads + first,
                                           seq * params.num_heads + last);
                  });
    }
    seq = end;
  }
}

}  // namespace

Status PagedAttentionWith(const AttentionFunctions& functions, const PagedAttentionParams& params,
                          ParallelFor parallel_for, int64_t partial_bytes) {
  if (params.num_seqs == 0 || params.num_heads == 0) return Status();
  STABLEKV_RETURN_IF_ERROR(CheckPagedAttention(params));
  AttentionPlan plan = MakePlan(params, functions);

  const std::vector<int64_t> first_items = FirstItems(plan);
  plan.first_items = first_items.data();
  const bool partial = std::any_of(params.seq_lens, params.seq_lens + params.num_seqs,
                                   [](int32_t length) { return length > ItemTokens(length); });
  std::vector<int64_t> ends = {params.num_seqs};
  std::unique_ptr<float[]> partials;
  if (partial) {
    const int64_t item_floats = plan.group * (params.head_size + 2);
    ends = BatchEnds(first_items, partial_bytes / (item_floats * int64_t{sizeof(float)}));
    int64_t items = 0;  // of the largest batch
    int64_t seq = 0;
    for (const int64_t end : ends) {
      items = std::max(items, first_items[end] - first_items[seq]);
      seq = end;
    }
    partials.reset(new (std::nothrow) float[static_cast<size_t>(items * item_floats)]);
    if (partials == nullptr) {
      return Status::Error("no memory for the partial results of " + std::to_string(items) +
                           " partitions");
    }
    plan.partial_out = partials.get();
    plan.partial_max = plan.partial_out + items * plan.group * params.head_size;
    plan.partial_sum = plan.partial_max + items * plan.group;
  }
  const bool empty = std::any_of(params.seq_lens, params.seq_lens + params.num_seqs,
                                 [](int32_t length) { return length == 0; });
  RunBatches(functions, first_items, ends, partial || empty, parallel_for, &plan);
  return Status();
}

Status PagedAttentionOnIsa(const PagedAttentionParams& params, ParallelFor parallel_for,
                           CpuIsa isa) {
  return PagedAttentionWith(FunctionsOf(isa), params, parallel_for);
}

Status PagedAttentionCpu(const PagedAttentionParams& params, ParallelFor parallel_for) {
  return PagedAttentionOnIsa(params, parallel_for, BestCpuIsa());
}

}  // namespace stablekv
