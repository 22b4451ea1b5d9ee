#include <algorithm>
#include <cstring>

#include "csrc/kernels/cache/fp8_rows_cpu.h"
#include "csrc/kernels/cache/reshape_and_cache_flash.h"
#include "csrc/kernels/common/cpu_isa.h"
#include "csrc/kernels/common/slot_mapping.h"

namespace stablekv {
namespace {

constexpr int64_t kGrainBytes = 64 * 1024;  // of keys and values: worth another thread's while

// Stores the row of one head. `encode` is null for a plain cache.
void WriteRow(const ReshapeAndCacheFlashParams& params, const FlashSide& side, int64_t token,
              const SlotPlace& place, int64_t head, EncodeFp8 encode) {
  const int64_t from_bytes = SizeOf(params.element);
  const uint8_t* const from =
      static_cast<const uint8_t*>(side.source) + SourceOffset(side, token, head) * from_bytes;
  uint8_t* const to = static_cast<uint8_t*>(side.cache) +
                      CacheOffset(side, place, head) * SizeOf(params.cache, params.element);
  if (encode == nullptr) {
    memcpy(to, from, static_cast<size_t>(params.head_size * from_bytes));
  } else {
    encode(from, params.head_size, side.scale[head * params.scale_stride], to);
  }
}

}  // namespace

Status ReshapeAndCacheFlashCpu(const ReshapeAndCacheFlashParams& unjoined,
                               ParallelFor parallel_for) {
  STABLEKV_RETURN_IF_ERROR(CheckSlots(unjoined.slot_mapping, unjoined.num_tokens,
                                      unjoined.num_blocks, unjoined.block_size));
  const ReshapeAndCacheFlashParams params = JoinHeads(unjoined);
  const EncodeFp8 encode = params.cache == CacheType::kAuto
                               ? nullptr
                               : FindEncodeFp8(params.element, params.cache, BestCpuIsa());
  const int64_t bytes = 2 * params.num_heads * params.head_size * SizeOf(params.element);
  const int64_t grain = std::max<int64_t>(1, kGrainBytes / std::max<int64_t>(1, bytes));
  RunParallel(parallel_for, params.num_tokens, grain, [&](int64_t begin, int64_t end) {
    for (int64_t token = begin; token < end; ++token) {
      const int64_t slot = params.slot_mapping[token];
      if (slot < 0) continue;
      const SlotPlace place = PlaceOfSlot(slot, params.block_size);
      for (int64_t head = 0; head < params.num_heads; ++head) {
        WriteRow(params, params.key, token, place, head, encode);
        WriteRow(params, params.value, token, place, head, encode);
      }
    }
  });
  return Status();
}

}  // namespace stablekv
