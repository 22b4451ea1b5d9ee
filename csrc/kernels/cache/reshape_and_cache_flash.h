// Scatters the keys and values of new tokens into caches of [block, token, head, element].
#ifndef STABLEKV_CSRC_KERNELS_CACHE_RESHAPE_AND_CACHE_FLASH_H_
#define STABLEKV_CSRC_KERNELS_CACHE_RESHAPE_AND_CACHE_FLASH_H_

#include <cstdint>

#include "csrc/kernels/common/cuda_stream.h"
#include "csrc/kernels/common/host_device.h"
#include "csrc/kernels/common/parallel.h"
#include "csrc/kernels/common/slot_mapping.h"
#include "csrc/kernels/common/status.h"
#include "csrc/kernels/common/types.h"

namespace stablekv {

// The keys and their cache, or the values and theirs. Strides are in elements of the tensor they
// belong to.
struct FlashSide {
  const void* source;  // [num_tokens, num_heads, head_size], `element`
  void* cache;         // [num_blocks, block_size, num_heads, head_size]
  const float* scale;  // one value, or num_heads of them; not read for kAuto
  int64_t source_token_stride;
  int64_t source_head_stride;
  int64_t cache_block_stride;
  int64_t cache_token_stride;  // NHD: num_heads * head_size; HND: head_size
  int64_t cache_head_stride;   // NHD: head_size; HND: block_size * head_size
};

// For token i with slot s = slot_mapping[i] >= 0, block b = s / block_size, offset o = s %
// block_size, and for keys and values alike:
//   cache[b, o, h, d] = store(source[i, h, d], scale of h)
// so that element d of (block b, token o, head h) is at cache + b * cache_block_stride + o *
// cache_token_stride + h * cache_head_stride + d, whatever the order of these strides. A negative
// slot is padding: nothing is written for it, but its rows of the sources may be read.
struct ReshapeAndCacheFlashParams {
  FlashSide key;
  FlashSide value;
  const int64_t* slot_mapping;  // [num_tokens], contiguous
  int64_t num_tokens;
  int64_t num_blocks;
  int64_t block_size;  // tokens
  int64_t num_heads;
  int64_t head_size;     // elements
  int64_t scale_stride;  // from head to head: 0 for one scale, 1 for a scale a head
  ElementType element;
  CacheType cache;
};

// Elements from the start of the source to the row of a token and a head.
STABLEKV_HOST_DEVICE inline int64_t SourceOffset(const FlashSide& side, int64_t token,
                                                 int64_t head) {
  return token * side.source_token_stride + head * side.source_head_stride;
}

// Elements from the start of the cache to the row of a slot and a head.
STABLEKV_HOST_DEVICE inline int64_t CacheOffset(const FlashSide& side, const SlotPlace& place,
                                                int64_t head) {
  return place.block * side.cache_block_stride + place.offset * side.cache_token_stride +
         head * side.cache_head_stride;
}

// The same work as one long head a token, where heads follow each other without gaps everywhere and
// share a scale; as it is otherwise.
inline ReshapeAndCacheFlashParams JoinHeads(const ReshapeAndCacheFlashParams& params) {
  bool joined = params.scale_stride == 0 || params.cache == CacheType::kAuto;
  for (const FlashSide* side : {&params.key, &params.value}) {
    joined &= params.num_heads == 1 || (side->source_head_stride == params.head_size &&
                                        side->cache_head_stride == params.head_size);
  }
  ReshapeAndCacheFlashParams result = params;
  if (!joined) return result;
  result.head_size *= result.num_heads;
  result.num_heads = 1;
  for (FlashSide* side : {&result.key, &result.value}) {
    side->source_head_stride = 0;
    side->cache_head_stride = 0;
  }
  return result;
}

// Refuses a slot past the cache, before anything is written.
Status ReshapeAndCacheFlashCpu(const ReshapeAndCacheFlashParams& params, ParallelFor parallel_for);

// Asynchronous on `stream`. A slot past the cache is skipped: it cannot be reported from here.
Status ReshapeAndCacheFlashCuda(const ReshapeAndCacheFlashParams& params, CudaStream stream);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_CACHE_RESHAPE_AND_CACHE_FLASH_H_
