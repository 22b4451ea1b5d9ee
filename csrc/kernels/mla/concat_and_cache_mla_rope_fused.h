// Rotates the RoPE parts of MLA queries and keys in place, and caches the new tokens' latent rows.
#ifndef STABLEKV_CSRC_KERNELS_MLA_CONCAT_AND_CACHE_MLA_ROPE_FUSED_H_
#define STABLEKV_CSRC_KERNELS_MLA_CONCAT_AND_CACHE_MLA_ROPE_FUSED_H_

#include <cstdint>

#include "csrc/kernels/common/cuda_stream.h"
#include "csrc/kernels/common/parallel.h"
#include "csrc/kernels/common/status.h"
#include "csrc/kernels/common/types.h"

namespace stablekv {

// For token i with slot s = slot_mapping[i] >= 0, block b = s / block_size, offset o = s %
// block_size and the row of cos_sin_cache that is at positions[i]:
//   q_pe[i, h, :] = rotated(q_pe[i, h, :]) for each head, k_pe[i, :] = rotated(k_pe[i, :])
//   kv_cache[b, o, d]                = store(kv_c[i, d], scale),  0 <= d < kv_lora_rank
//   kv_cache[b, o, kv_lora_rank + d] = store(k_pe[i, d], scale),  0 <= d < pe_dim, k_pe as rotated
// so element d of token (b, o) is at kv_cache + b * cache_block_stride + o * cache_token_stride +
// d. rotary_rows_cpu.h says how a pair is rotated. Pair j is elements j and j + pe_dim / 2, or 2j
// and 2j + 1. A negative slot is padding: nothing is read or written for it, q_pe and k_pe
// included. Strides are in elements of the tensor they belong to; dimensions without a stride here
// are contiguous.
struct ConcatAndCacheMlaRopeFusedParams {
  const int64_t* positions;   // [num_tokens], contiguous
  void* q_pe;                 // [num_tokens, num_heads, pe_dim], `element`
  void* k_pe;                 // [num_tokens, pe_dim], `element`
  const void* kv_c;           // [num_tokens, kv_lora_rank], `element`
  const void* cos_sin_cache;  // [num_positions, pe_dim], `element`: cosines, then sines, of a pair
  const int64_t* slot_mapping;  // [num_tokens], contiguous
  void* kv_cache;               // [num_blocks, block_size, kv_lora_rank + pe_dim]
  const float* scale;           // one value, in the memory of the backend; not read for kAuto
  int64_t num_tokens;
  int64_t num_heads;
  int64_t num_positions;
  int64_t num_blocks;
  int64_t block_size;    // tokens
  int64_t kv_lora_rank;  // elements
  int64_t pe_dim;        // elements, an even number
  int64_t q_pe_token_stride;
  int64_t q_pe_head_stride;
  int64_t k_pe_stride;     // from token to token
  int64_t kv_c_stride;     // from token to token
  int64_t cos_sin_stride;  // from position to position
  int64_t cache_block_stride;
  int64_t cache_token_stride;
  ElementType element;
  CacheType cache;
  bool is_neox;  // the two elements of a pair are half a row apart, not neighbours
};

// Refuses a slot past the cache, and a position that cos_sin_cache does not have, before anything
// is written.
Status ConcatAndCacheMlaRopeFusedCpu(const ConcatAndCacheMlaRopeFusedParams& params,
                                     ParallelFor parallel_for);

// Asynchronous on `stream`. Tokens with such a slot or position are skipped.
Status ConcatAndCacheMlaRopeFusedCuda(const ConcatAndCacheMlaRopeFusedParams& params,
                                      CudaStream stream);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_MLA_CONCAT_AND_CACHE_MLA_ROPE_FUSED_H_
