// Scatters the keys and values of new tokens into the paged cache that paged attention reads.
#ifndef STABLEKV_CSRC_KERNELS_CACHE_RESHAPE_AND_CACHE_H_
#define STABLEKV_CSRC_KERNELS_CACHE_RESHAPE_AND_CACHE_H_

#include <cstdint>

#include "csrc/kernels/common/cuda_stream.h"
#include "csrc/kernels/common/parallel.h"
#include "csrc/kernels/common/status.h"
#include "csrc/kernels/common/types.h"

namespace stablekv {

// For token i with slot s = slot_mapping[i] >= 0, block b = s / block_size, offset o = s %
// block_size:
//   key_cache[b, h, d / x, o, d % x] = store(key[i, h, d], k_scale)
//   value_cache[b, h, d, o]          = store(value[i, h, d], v_scale)
// A negative slot is padding: nothing is written for it, but its row of key and value may be read.
// Strides are in elements of the tensor they belong to; dimensions without a stride here are
// contiguous.
struct ReshapeAndCacheParams {
  const void* key;              // [num_tokens, num_heads, head_size], `element`
  const void* value;            // [num_tokens, num_heads, head_size], `element`
  void* key_cache;              // [num_blocks, num_heads, head_size / x, block_size, x]
  void* value_cache;            // [num_blocks, num_heads, head_size, block_size]
  const int64_t* slot_mapping;  // [num_tokens], contiguous
  const float* k_scale;         // one value, in the memory of the backend; not read for kAuto
  const float* v_scale;         // one value, in the memory of the backend; not read for kAuto
  int64_t num_tokens;
  int64_t num_blocks;
  int64_t num_heads;
  int64_t head_size;   // a multiple of x
  int64_t block_size;  // tokens
  int64_t x;           // elements of one key chunk: 16 bytes' worth, or what the cache has
  int64_t key_token_stride;
  int64_t key_head_stride;
  int64_t value_token_stride;
  int64_t value_head_stride;
  int64_t key_cache_block_stride;
  int64_t key_cache_head_stride;
  int64_t value_cache_block_stride;
  int64_t value_cache_head_stride;
  ElementType element;
  CacheType cache;
};

// Refuses a slot >= num_blocks * block_size, before anything is written.
Status ReshapeAndCacheCpu(const ReshapeAndCacheParams& params, ParallelFor parallel_for);

// Asynchronous on `stream`. A slot past the cache is skipped: it cannot be reported from here.
Status ReshapeAndCacheCuda(const ReshapeAndCacheParams& params, CudaStream stream);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_CACHE_RESHAPE_AND_CACHE_H_
