// cp_gather_cache: from the operator's arguments to the kernel's parameters.
#ifndef STABLEKV_CSRC_OPS_CP_GATHER_CACHE_H_
#define STABLEKV_CSRC_OPS_CP_GATHER_CACHE_H_

#include <cstdint>
#include <optional>

#include "csrc/kernels/cache/gather_rows.h"
#include "csrc/kernels/common/status.h"
#include "csrc/ops/tensor_arg.h"

namespace stablekv {

struct CpGatherCacheArgs {
  TensorArg src_cache;    // [num_blocks, block_size, ..], elements of 1, 2 or 4 bytes
  TensorArg dst;          // [num_rows, ..], written
  TensorArg block_table;  // [>= batch_size, max_blocks_per_seq], int32
  TensorArg cu_seq_lens;  // [batch_size + 1], int32
  int64_t batch_size;
  std::optional<TensorArg> seq_starts;  // [>= batch_size], int32
};

// Checks everything that can be known without reading memory, then fills `params`.
Status PrepareCpGatherCache(const CpGatherCacheArgs& args, GatherRowsParams* params);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_OPS_CP_GATHER_CACHE_H_
