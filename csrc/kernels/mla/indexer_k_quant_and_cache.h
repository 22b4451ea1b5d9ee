// Writes the indexer's keys of new tokens, as e4m3 with a scale a group, into its paged cache.
#ifndef STABLEKV_CSRC_KERNELS_MLA_INDEXER_K_QUANT_AND_CACHE_H_
#define STABLEKV_CSRC_KERNELS_MLA_INDEXER_K_QUANT_AND_CACHE_H_

#include <cstdint>

#include "csrc/kernels/common/cuda_stream.h"
#include "csrc/kernels/common/host_device.h"
#include "csrc/kernels/common/parallel.h"
#include "csrc/kernels/common/status.h"
#include "csrc/kernels/common/types.h"

namespace stablekv {

// A cache block holds the e4m3 of all its tokens, then the float32 scales of all its tokens. For
// token i with slot s = slot_mapping[i] >= 0, block b = s / block_size, offset o = s % block_size,
// and group g of the elements [g * quant_block_size, (g + 1) * quant_block_size):
//   scale(o, g) = IndexerGroupScale(max |k[i, d]| over the group, NaN aside)
//   value(o, d) = e4m3(k[i, d] / scale(o, d / quant_block_size))
// at the byte offsets of IndexerValueAt and IndexerScaleAt. A negative slot is padding: nothing is
// read or written for it.
struct IndexerKQuantAndCacheParams {
  const void* k;                // [num_tokens, head_dim], `element`, contiguous rows
  void* kv_cache;               // [num_blocks] times block_size * (head_dim + 4 * num_groups) bytes
  const int64_t* slot_mapping;  // [num_tokens], contiguous
  int64_t num_tokens;
  int64_t num_blocks;
  int64_t block_size;          // tokens
  int64_t head_dim;            // elements, a multiple of quant_block_size
  int64_t quant_block_size;    // elements of a group, at least 1
  int64_t k_stride;            // elements from token to token
  int64_t cache_block_stride;  // bytes from block to block
  ElementType element;         // 16 bits wide
  bool power_of_two;           // scales are rounded up to powers of two ("ue8m0")
};

// Byte offset of value (block, offset, d).
STABLEKV_HOST_DEVICE inline int64_t IndexerValueAt(const IndexerKQuantAndCacheParams& params,
                                                   int64_t block, int64_t offset, int64_t d) {
  return block * params.cache_block_stride + offset * params.head_dim + d;
}

// Byte offset of scale (block, offset, group).
STABLEKV_HOST_DEVICE inline int64_t IndexerScaleAt(const IndexerKQuantAndCacheParams& params,
                                                   int64_t block, int64_t offset, int64_t group) {
  const int64_t num_groups = params.head_dim / params.quant_block_size;
  return block * params.cache_block_stride + params.block_size * params.head_dim +
         (offset * num_groups + group) * 4;
}

// Refuses a slot past the cache, before anything is written.
Status IndexerKQuantAndCacheCpu(const IndexerKQuantAndCacheParams& params,
                                ParallelFor parallel_for);

// Asynchronous on `stream`. A slot past the cache is skipped: it cannot be reported from here.
Status IndexerKQuantAndCacheCuda(const IndexerKQuantAndCacheParams& params, CudaStream stream);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_MLA_INDEXER_K_QUANT_AND_CACHE_H_
