// Writes the latent row of new tokens, NoPE part and RoPE part, into the paged cache of MLA.
#ifndef STABLEKV_CSRC_KERNELS_MLA_CONCAT_AND_CACHE_MLA_H_
#define STABLEKV_CSRC_KERNELS_MLA_CONCAT_AND_CACHE_MLA_H_

#include <cstdint>

#include "csrc/kernels/common/cuda_stream.h"
#include "csrc/kernels/common/parallel.h"
#include "csrc/kernels/common/status.h"
#include "csrc/kernels/common/types.h"

namespace stablekv {

// For token i with slot s = slot_mapping[i] >= 0, block b = s / block_size, offset o = s %
// block_size:
//   kv_cache[b, o, d]                = store(kv_c[i, d], scale),  0 <= d < kv_lora_rank
//   kv_cache[b, o, kv_lora_rank + d] = store(k_pe[i, d], scale),  0 <= d < pe_dim
// so element d of token (b, o) is at kv_cache + b * cache_block_stride + o * cache_token_stride +
// d. With `ds_mla` set the bytes of the token are those of ds_mla_layout.h instead. A negative slot
// is padding: nothing is read or written for it. Strides are in elements of the tensor they belong
// to; dimensions without a stride here are contiguous.
struct ConcatAndCacheMlaParams {
  const void* kv_c;  // [num_tokens, kv_lora_rank], `element`
  const void* k_pe;  // [num_tokens, pe_dim], `element`
  void* kv_cache;    // [num_blocks, block_size, kv_lora_rank + pe_dim]; ds_mla: 656 bytes
  const int64_t* slot_mapping;  // [num_tokens], contiguous
  const float* scale;           // one value, in the memory of the backend; read for fp8 only
  int64_t num_tokens;
  int64_t num_blocks;
  int64_t block_size;    // tokens
  int64_t kv_lora_rank;  // elements; 512 with ds_mla
  int64_t pe_dim;        // elements; 64 with ds_mla
  int64_t kv_c_stride;   // from token to token
  int64_t k_pe_stride;   // from token to token
  int64_t cache_block_stride;
  int64_t cache_token_stride;
  ElementType element;  // 16 bits wide with ds_mla
  CacheType cache;      // kFp8E4M3 with ds_mla
  bool ds_mla;          // e4m3 with scales of its own: kv_cache is bytes, `scale` is not read
};

// Refuses a slot past the cache, before anything is written.
Status ConcatAndCacheMlaCpu(const ConcatAndCacheMlaParams& params, ParallelFor parallel_for);

// Asynchronous on `stream`. A slot past the cache is skipped: it cannot be reported from here.
Status ConcatAndCacheMlaCuda(const ConcatAndCacheMlaParams& params, CudaStream stream);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_MLA_CONCAT_AND_CACHE_MLA_H_
