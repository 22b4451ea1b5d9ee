// gather_and_maybe_dequant_cache: from the operator's arguments to the kernel's parameters.
#ifndef STABLEKV_CSRC_OPS_GATHER_AND_MAYBE_DEQUANT_CACHE_H_
#define STABLEKV_CSRC_OPS_GATHER_AND_MAYBE_DEQUANT_CACHE_H_

#include <cstdint>
#include <optional>
#include <string_view>

#include "csrc/kernels/cache/gather_dequant.h"
#include "csrc/kernels/common/status.h"
#include "csrc/ops/tensor_arg.h"

namespace stablekv {

struct GatherAndMaybeDequantCacheArgs {
  TensorArg src_cache;     // [num_blocks, block_size, entry_size]
  TensorArg dst;           // [>= num_tokens, entry_size], written
  TensorArg block_table;   // [>= num_seqs, max_blocks_per_seq], int32
  TensorArg cu_seq_lens;   // [num_seqs + 1], int32
  TensorArg token_to_seq;  // [>= num_tokens], int32
  int64_t num_tokens;
  std::string_view kv_cache_dtype;
  TensorArg scale;                      // float32, one element
  std::optional<TensorArg> seq_starts;  // [>= num_seqs], int32
};

// Checks everything that can be known without reading memory, then fills `params`.
Status PrepareGatherAndMaybeDequantCache(const GatherAndMaybeDequantCacheArgs& args,
                                         GatherDequantParams* params);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_OPS_GATHER_AND_MAYBE_DEQUANT_CACHE_H_
