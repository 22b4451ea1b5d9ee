#include <cstring>

#include "csrc/kernels/cache/fp8_rows_cpu.h"
#include "csrc/kernels/common/cpu_isa.h"
#include "csrc/kernels/common/slot_mapping.h"
#include "csrc/kernels/mla/amax_cpu.h"
#include "csrc/kernels/mla/concat_and_cache_mla.h"
#include "csrc/kernels/mla/ds_mla_layout.h"
#include "csrc/kernels/mla/group_scale.h"
#include "csrc/kernels/mla/store_row_cpu.h"
#include "csrc/kernels/mla/token_grain_cpu.h"

namespace stablekv {
namespace {

// One token's row of each tensor.
struct Rows {
  const uint8_t* kv_c;
  const uint8_t* k_pe;
  uint8_t* cache;
};

Rows RowsOf(const ConcatAndCacheMlaParams& params, int64_t token, int64_t slot) {
  const int64_t element_bytes = SizeOf(params.element);
  const SlotPlace place = PlaceOfSlot(slot, params.block_size);
  const int64_t to =
      place.block * params.cache_block_stride + place.offset * params.cache_token_stride;
  return {static_cast<const uint8_t*>(params.kv_c) + token * params.kv_c_stride * element_bytes,
          static_cast<const uint8_t*>(params.k_pe) + token * params.k_pe_stride * element_bytes,
          static_cast<uint8_t*>(params.kv_cache) + to * SizeOf(params.cache, params.element)};
}

void WriteDsMla(const Rows& rows, ElementType element, EncodeFp8 encode) {
  using Layout = DsMlaLayout;
  const auto* const nope = reinterpret_cast<const uint16_t*>(rows.kv_c);
  for (int64_t tile = 0; tile < Layout::kTiles; ++tile) {
    const int64_t first = tile * Layout::kTileElements;
    const float scale =
        DsMlaTileScale(LargestMagnitude(nope + first, Layout::kTileElements, element));
    encode(rows.kv_c + first * 2, Layout::kTileElements, scale, rows.cache + first);
    memcpy(rows.cache + Layout::kScalesAt + tile * 4, &scale, sizeof(scale));
  }
  memcpy(rows.cache + Layout::kRopeAt, rows.k_pe, Layout::kRopeElements * 2);
}

// Calls `write(rows)` for every token with a slot.
template <typename Write>
void ForEachToken(const ConcatAndCacheMlaParams& params, ParallelFor parallel_for,
                  const Write& write) {
  const int64_t row_bytes = (params.kv_lora_rank + params.pe_dim) * SizeOf(params.element);
  RunParallel(parallel_for, params.num_tokens, GrainOf(row_bytes), [&](int64_t begin, int64_t end) {
    for (int64_t token = begin; token < end; ++token) {
      const int64_t slot = params.slot_mapping[token];
      if (slot >= 0) write(RowsOf(params, token, slot));
    }
  });
}

}  // namespace

Status ConcatAndCacheMlaCpu(const ConcatAndCacheMlaParams& params, ParallelFor parallel_for) {
  STABLEKV_RETURN_IF_ERROR(
      CheckSlots(params.slot_mapping, params.num_tokens, params.num_blocks, params.block_size));
  if (params.ds_mla) {
    const EncodeFp8 encode = FindEncodeFp8(params.element, CacheType::kFp8E4M3, BestCpuIsa());
    ForEachToken(params, parallel_for,
                 [&](const Rows& rows) { WriteDsMla(rows, params.element, encode); });
    return Status();
  }
  const StoreRow store(params.element, params.cache, params.scale);
  const int64_t pe_at = params.kv_lora_rank * SizeOf(params.cache, params.element);
  ForEachToken(params, parallel_for, [&](const Rows& rows) {
    store(rows.kv_c, params.kv_lora_rank, rows.cache);
    store(rows.k_pe, params.pe_dim, rows.cache + pe_at);
  });
  return Status();
}

}  // namespace stablekv
