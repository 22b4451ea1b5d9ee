#include <cstdint>
#include <cstring>

#include "csrc/kernels/cache/fp8_rows_cpu.h"
#include "csrc/kernels/common/cpu_isa.h"
#include "csrc/kernels/common/slot_mapping.h"
#include "csrc/kernels/mla/amax_cpu.h"
#include "csrc/kernels/mla/group_scale.h"
#include "csrc/kernels/mla/indexer_k_quant_and_cache.h"
#include "csrc/kernels/mla/token_grain_cpu.h"

namespace stablekv {
namespace {

void WriteToken(const IndexerKQuantAndCacheParams& params, int64_t token, int64_t slot,
                EncodeFp8 encode) {
  const auto* const k = static_cast<const uint16_t*>(params.k) + token * params.k_stride;
  auto* const cache = static_cast<uint8_t*>(params.kv_cache);
  const SlotPlace place = PlaceOfSlot(slot, params.block_size);
  const int64_t group_size = params.quant_block_size;
  for (int64_t group = 0; group < params.head_dim / group_size; ++group) {
    const uint16_t* const from = k + group * group_size;
    const float scale =
        IndexerGroupScale(LargestMagnitude(from, group_size, params.element), params.power_of_two);
    encode(reinterpret_cast<const uint8_t*>(from), group_size, scale,
           cache + IndexerValueAt(params, place.block, place.offset, group * group_size));
    memcpy(cache + IndexerScaleAt(params, place.block, place.offset, group), &scale, sizeof(scale));
  }
}

}  // namespace

Status IndexerKQuantAndCacheCpu(const IndexerKQuantAndCacheParams& params,
                                ParallelFor parallel_for) {
  STABLEKV_RETURN_IF_ERROR(
      CheckSlots(params.slot_mapping, params.num_tokens, params.num_blocks, params.block_size));
  const EncodeFp8 encode = FindEncodeFp8(params.element, CacheType::kFp8E4M3, BestCpuIsa());
  RunParallel(parallel_for, params.num_tokens, GrainOf(params.head_dim * 2),
              [&](int64_t begin, int64_t end) {
                for (int64_t token = begin; token < end; ++token) {
                  const int64_t slot = params.slot_mapping[token];
                  if (slot >= 0) WriteToken(params, token, slot, encode);
                }
              });
  return Status();
}

}  // namespace stablekv
