// cp_gather_indexer_k_quant_cache: from the operator's arguments to the kernel's parameters.
#ifndef STABLEKV_CSRC_OPS_CP_GATHER_INDEXER_K_QUANT_CACHE_H_
#define STABLEKV_CSRC_OPS_CP_GATHER_INDEXER_K_QUANT_CACHE_H_

#include "csrc/kernels/cache/gather_rows.h"
#include "csrc/kernels/common/status.h"
#include "csrc/ops/tensor_arg.h"

namespace stablekv {

struct CpGatherIndexerKQuantCacheArgs {
  TensorArg kv_cache;     // [num_blocks, block_size, head_dim + scale_bytes], bytes
  TensorArg dst_k;        // [num_rows, head_dim], bytes, written
  TensorArg dst_scale;    // [num_rows, scale_bytes], uint8, written
  TensorArg block_table;  // [>= num_seqs, max_blocks_per_seq], int32
  TensorArg cu_seq_lens;  // [num_seqs + 1], int32
};

// Checks everything that can be known without reading memory, then fills `params`.
Status PrepareCpGatherIndexerKQuantCache(const CpGatherIndexerKQuantCacheArgs& args,
                                         GatherRowsParams* params);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_OPS_CP_GATHER_INDEXER_K_QUANT_CACHE_H_
