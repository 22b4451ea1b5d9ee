// cp_gather_and_upconvert_fp8_kv_cache: from the operator's arguments to the kernel's parameters.
#ifndef STABLEKV_CSRC_OPS_CP_GATHER_AND_UPCONVERT_FP8_KV_CACHE_H_
#define STABLEKV_CSRC_OPS_CP_GATHER_AND_UPCONVERT_FP8_KV_CACHE_H_

#include <cstdint>

#include "csrc/kernels/cache/gather_upconvert.h"
#include "csrc/kernels/common/status.h"
#include "csrc/ops/tensor_arg.h"

namespace stablekv {

struct CpGatherAndUpconvertFp8KvCacheArgs {
  TensorArg src_cache;         // [num_blocks, block_size, 656], bytes
  TensorArg dst;               // [num_rows, 576], bfloat16, written
  TensorArg block_table;       // [>= batch_size, max_blocks_per_seq], int32
  TensorArg seq_lens;          // [>= batch_size], int32; not read
  TensorArg workspace_starts;  // [>= batch_size], int32
  int64_t batch_size;
};

// Checks everything that can be known without reading memory, then fills `params`.
Status PrepareCpGatherAndUpconvertFp8KvCache(const CpGatherAndUpconvertFp8KvCacheArgs& args,
                                             GatherUpconvertParams* params);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_OPS_CP_GATHER_AND_UPCONVERT_FP8_KV_CACHE_H_
