#include "csrc/kernels/mla/concat_and_cache_mla_rope_fused_check_cpu.h"

#include <cstdint>
#include <string>

#include "csrc/kernels/common/slot_mapping.h"

namespace stablekv {
namespace {

Status CheckPositions(const ConcatAndCacheMlaRopeFusedParams& params) {
  for (int64_t token = 0; token < params.num_tokens; ++token) {
    if (params.slot_mapping[token] < 0) continue;
    const int64_t position = params.positions[token];
    if (position >= 0 && position < params.num_positions) continue;
    return Status::Error("positions[" + std::to_string(token) + "] is " + std::to_string(position) +
                         ", want 0 to less than " + std::to_string(params.num_positions) +
                         ", the rows of cos_sin_cache");
  }
  return Status();
}

}  // namespace

Status CheckConcatAndCacheMlaRopeFusedValues(const ConcatAndCacheMlaRopeFusedParams& params) {
  STABLEKV_RETURN_IF_ERROR(
      CheckSlots(params.slot_mapping, params.num_tokens, params.num_blocks, params.block_size));
  return CheckPositions(params);
}

}  // namespace stablekv
