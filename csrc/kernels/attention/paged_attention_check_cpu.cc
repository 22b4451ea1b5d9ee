#include "csrc/kernels/attention/paged_attention_check_cpu.h"

#include <algorithm>
#include <iterator>
#include <string>

#include "csrc/kernels/attention/attention_plan_cpu.h"

namespace stablekv {
namespace {

template <size_t kCount>
Status CheckOneOf(const char* name, int64_t value, const int64_t (&wanted)[kCount]) {
  if (std::find(std::begin(wanted), std::end(wanted), value) != std::end(wanted)) return Status();
  std::string list;
  for (const int64_t one : wanted) list += (list.empty() ? "" : ", ") + std::to_string(one);
  return Status::Error(std::string(name) + " is " + std::to_string(value) + ", want one of " +
                       list);
}

Status CheckSizes(const AttentionPlan& plan) {
  const PagedAttentionParams& params = plan.params;
  STABLEKV_RETURN_IF_ERROR(CheckOneOf("head_size", params.head_size, kHeadSizes));
  STABLEKV_RETURN_IF_ERROR(CheckOneOf("block_size", params.block_size, kBlockSizes));
  const int64_t x = 16 / plan.cache_bytes;
  if (params.head_size % x != 0) {
    return Status::Error("head_size is " + std::to_string(params.head_size) +
                         ", want a multiple of " + std::to_string(x) + " for this cache");
  }
  if (params.num_kv_heads <= 0 || params.num_heads % params.num_kv_heads != 0) {
    return Status::Error("num_heads is " + std::to_string(params.num_heads) +
                         ", want a multiple of num_kv_heads, which is " +
                         std::to_string(params.num_kv_heads));
  }
  if (plan.sparse && params.block_sparse.block_size <= 0) {
    return Status::Error("blocksparse_block_size is " +
                         std::to_string(params.block_sparse.block_size) + ", want at least 1");
  }
  return Status();
}

Status CheckSeqLens(const PagedAttentionParams& params) {
  const int64_t table_tokens = params.max_blocks_per_seq * params.block_size;
  for (int64_t seq = 0; seq < params.num_seqs; ++seq) {
    const int64_t length = params.seq_lens[seq];
    if (length >= 0 && length <= params.max_seq_len && length <= table_tokens) continue;
    const std::string what = "seq_lens[" + std::to_string(seq) + "] is " + std::to_string(length);
    if (length < 0 || length > params.max_seq_len) {
      return Status::Error(what + ", want 0 to max_seq_len, which is " +
                           std::to_string(params.max_seq_len));
    }
    return Status::Error(what + ", but block_tables has only " +
                         std::to_string(params.max_blocks_per_seq) + " blocks of " +
                         std::to_string(params.block_size) + " tokens for it");
  }
  return Status();
}

bool SomeHeadAttendsTo(const AttentionPlan& plan, int64_t seq, int64_t block) {
  for (int64_t head = 0; head < plan.params.num_heads; ++head) {
    if (AttendsTo(plan, seq, head, block)) return true;
  }
  return false;
}

Status CheckBlocks(const AttentionPlan& plan) {
  const PagedAttentionParams& params = plan.params;
  for (int64_t seq = 0; seq < params.num_seqs; ++seq) {
    const int32_t* const table = params.block_tables + seq * params.block_tables_stride;
    const int64_t blocks = (params.seq_lens[seq] + params.block_size - 1) / params.block_size;
    for (int64_t i = 0; i < blocks; ++i) {
      if (table[i] >= 0 && table[i] < params.num_blocks) continue;
      if (!SomeHeadAttendsTo(plan, seq, i)) continue;
      const std::string what = "block_tables[" + std::to_string(seq) + ", " + std::to_string(i) +
                               "] is " + std::to_string(table[i]);
      if (params.num_blocks == 0) return Status::Error(what + ", but the cache has no blocks");
      return Status::Error(what + ", want 0 to " + std::to_string(params.num_blocks - 1) +
                           ", as the cache has " + std::to_string(params.num_blocks) + " blocks");
    }
  }
  return Status();
}

// As much of a plan as the checks need: the scales may be where the host cannot read them.
AttentionPlan PlanOf(const PagedAttentionParams& params) {
  AttentionPlan plan{};
  plan.params = params;
  plan.cache_bytes = SizeOf(params.cache, params.element);
  plan.group = params.num_kv_heads > 0 ? params.num_heads / params.num_kv_heads : 0;
  plan.sparse = params.block_sparse.active();
  return plan;
}

}  // namespace

Status CheckPagedAttention(const PagedAttentionParams& params) {
  const AttentionPlan plan = PlanOf(params);
  STABLEKV_RETURN_IF_ERROR(CheckSizes(plan));
  STABLEKV_RETURN_IF_ERROR(CheckSeqLens(params));
  return CheckBlocks(plan);
}

}  // namespace stablekv
