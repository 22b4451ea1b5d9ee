// Decode attention over the paged cache: one query token per sequence.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_PAGED_ATTENTION_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_PAGED_ATTENTION_H_

#include <cstdint>

#include "csrc/kernels/common/cuda_stream.h"
#include "csrc/kernels/common/parallel.h"
#include "csrc/kernels/common/scratch_memory.h"
#include "csrc/kernels/common/status.h"
#include "csrc/kernels/common/types.h"

namespace stablekv {

// Tokens of one partition of paged_attention_v2's scratch.
inline constexpr int64_t kPartitionSize = 512;

// The block-sparse pattern: active when vert_stride > 1.
//   kb = first token of the cache block / block_size,  qb = (length - 1) / block_size
//   off = head_sliding_step >= 0 ? (tp_rank * num_heads + head) * head_sliding_step + 1
//                                : (tp_rank * num_kv_heads + kv_head) * -head_sliding_step + 1
//   a cache block is attended to when (kb + off) % vert_stride == 0 or kb > qb - local_blocks
struct BlockSparseParams {
  int64_t tp_rank;
  int64_t local_blocks;
  int64_t vert_stride;
  int64_t block_size;  // tokens of one sparse block; > 0 when active
  int64_t head_sliding_step;

  bool active() const { return vert_stride > 1; }
};

// For sequence s of length L, head h, kv head g = h / (num_heads / num_kv_heads), t in [0, L):
//   l[t] = scale * dot(query[s, h], k[t]) + alibi_slopes[h] * (t - L + 1)
//   out[s, h] = sum_t softmax(l)[t] * v[t];  zeros when L == 0, every token is skipped, or every
//                                            l[t] is -Inf
// k[t] and v[t] are read at block block_tables[s, t / block_size], offset t % block_size, and are
// multiplied by their scale when the cache is fp8. Arithmetic is float32. Cache elements past L and
// table entries past the last block never influence the result and may hold anything. A NaN or Inf
// in v[t] where l[t] is -Inf makes NaN or counts as 0, as the sequence is cut.
// Strides are in elements of the tensor they belong to; dimensions without a stride are contiguous.
struct PagedAttentionParams {
  void* out;                    // [num_seqs, num_heads, head_size], `element`
  const void* query;            // [num_seqs, num_heads, head_size], `element`
  const void* key_cache;        // [num_blocks, num_kv_heads, head_size / x, block_size, x]
  const void* value_cache;      // [num_blocks, num_kv_heads, head_size, block_size]
  const float* k_scale;         // one value, in the memory of the backend; not read for kAuto
  const float* v_scale;         // one value, in the memory of the backend; not read for kAuto
  const int32_t* block_tables;  // [num_seqs, max_blocks_per_seq]
  const int32_t* seq_lens;      // [num_seqs], contiguous
  const float* alibi_slopes;    // [num_heads], contiguous, or null
  int64_t num_seqs;
  int64_t num_heads;  // a multiple of num_kv_heads
  int64_t num_kv_heads;
  int64_t head_size;           // one of kHeadSizes
  int64_t block_size;          // 8, 16 or 32 tokens
  int64_t num_blocks;          // blocks of the cache
  int64_t max_blocks_per_seq;  // columns of block_tables; covers max_seq_len
  int64_t max_seq_len;         // tokens, >= every seq_len
  int64_t out_seq_stride;
  int64_t out_head_stride;
  int64_t query_seq_stride;
  int64_t query_head_stride;
  int64_t key_cache_block_stride;
  int64_t key_cache_head_stride;
  int64_t value_cache_block_stride;
  int64_t value_cache_head_stride;
  int64_t block_tables_stride;
  BlockSparseParams block_sparse;
  float scale;  // of the dot product
  ElementType element;
  CacheType cache;  // x = 16 / SizeOf(cache, element)
};

// The tokens of a sequence that CUDA kernels attend to, given its seq_len.
template <typename Int>
constexpr Int AttendedLength(Int seq_len, Int max_seq_len) {
  return seq_len < 0 ? 0 : seq_len < max_seq_len ? seq_len : max_seq_len;
}

// Scratch for results of partitions, P a sequence: for v2 P = ceil(max_seq_len / kPartitionSize),
// and tmp_out is of the output's element. Content after a call is not an interface.
struct PagedAttentionScratch {
  float* exp_sums;         // [num_seqs, num_heads, P]
  float* max_logits;       // [num_seqs, num_heads, P]
  void* tmp_out;           // [num_seqs, num_heads, P, head_size], `tmp_element`
  int64_t num_partitions;  // P
  ElementType tmp_element;
};

inline constexpr int64_t kHeadSizes[] = {32, 64, 80, 96, 112, 120, 128, 192, 256};
inline constexpr int64_t kBlockSizes[] = {8, 16, 32};

constexpr bool IsHeadSize(int64_t size) {
  for (const int64_t known : kHeadSizes) {
    if (size == known) return true;
  }
  return false;
}
constexpr bool IsBlockSize(int64_t size) {
  for (const int64_t known : kBlockSizes) {
    if (size == known) return true;
  }
  return false;
}

// Both versions: on the CPU v2's scratch is not needed, since its tmp_out may be 16-bit, and the
// output is to be rounded once. Lengths outside [0, max_seq_len] and block numbers outside the
// cache are refused before anything is written.
Status PagedAttentionCpu(const PagedAttentionParams& params, ParallelFor parallel_for);

// Asynchronous on `stream`. Lengths are clamped to [0, max_seq_len] and blocks outside the cache
// are treated as not attended to: they cannot be reported from here, and are never dereferenced.
// Where splitting sequences is worth it v1 asks for scratch, and does without if there is none.
Status PagedAttentionV1Cuda(const PagedAttentionParams& params, const ScratchMemory& memory,
                            CudaStream stream);
Status PagedAttentionV2Cuda(const PagedAttentionParams& params,
                            const PagedAttentionScratch& scratch, CudaStream stream);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_PAGED_ATTENTION_H_
