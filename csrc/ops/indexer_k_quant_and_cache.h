// indexer_k_quant_and_cache: from the operator's arguments to the kernel's parameters.
#ifndef STABLEKV_CSRC_OPS_INDEXER_K_QUANT_AND_CACHE_H_
#define STABLEKV_CSRC_OPS_INDEXER_K_QUANT_AND_CACHE_H_

#include <cstdint>
#include <string_view>

#include "csrc/kernels/common/status.h"
#include "csrc/kernels/mla/indexer_k_quant_and_cache.h"
#include "csrc/ops/tensor_arg.h"

namespace stablekv {

struct IndexerKQuantAndCacheArgs {
  TensorArg k;             // [>= num_tokens, head_dim]
  TensorArg kv_cache;      // [num_blocks, block_size, head_dim + 4 * num_groups], written
  TensorArg slot_mapping;  // [num_tokens], int64
  int64_t quant_block_size;
  // The format of the scales, whatever its name says: "ue8m0" is powers of two, all else float32.
  std::string_view kv_cache_dtype;
};

// Checks everything that can be known without reading memory, then fills `params`. Tensors must
// outlive it. Zero tokens are fine.
Status PrepareIndexerKQuantAndCache(const IndexerKQuantAndCacheArgs& args,
                                    IndexerKQuantAndCacheParams* params);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_OPS_INDEXER_K_QUANT_AND_CACHE_H_
