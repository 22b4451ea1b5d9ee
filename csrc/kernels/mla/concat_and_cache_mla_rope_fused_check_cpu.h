// Checks of what concat_and_cache_mla_rope_fused's index tensors hold, made on the CPU.
#ifndef STABLEKV_CSRC_KERNELS_MLA_CONCAT_AND_CACHE_MLA_ROPE_FUSED_CHECK_CPU_H_
#define STABLEKV_CSRC_KERNELS_MLA_CONCAT_AND_CACHE_MLA_ROPE_FUSED_CHECK_CPU_H_

#include "csrc/kernels/common/status.h"
#include "csrc/kernels/mla/concat_and_cache_mla_rope_fused.h"

namespace stablekv {

// Refuses a slot past the cache, and a position that cos_sin_cache does not have. Reads
// slot_mapping and positions alone.
Status CheckConcatAndCacheMlaRopeFusedValues(const ConcatAndCacheMlaRopeFusedParams& params);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_MLA_CONCAT_AND_CACHE_MLA_ROPE_FUSED_CHECK_CPU_H_
