#include <algorithm>

#include "csrc/kernels/cache/reshape_and_cache_nvfp4.h"
#include "csrc/kernels/common/slot_mapping.h"

namespace stablekv {
namespace {

constexpr int64_t kGrainElements = 16 * 1024;  // worth another thread's while

void WriteHead(const ReshapeAndCacheNvfp4Params& params, const Nvfp4Side& side, bool swizzled,
               int64_t token, const SlotPlace& place, int64_t head) {
  uint8_t* const page = side.cache + place.block * side.page_stride;
  for (int64_t group = 0; group < params.head_size / kNvfp4Group; ++group) {
    const Nvfp4Codes codes = EncodeNvfp4(side.source + Nvfp4SourceAt(side, token, head, group),
                                         params.element, side.scale[0]);
    uint8_t* const data = page + Nvfp4DataAt(params, place.offset, head, group);
    for (int i = 0; i < 8; ++i) data[i] = static_cast<uint8_t>(codes.data >> (8 * i));
    page[Nvfp4ScaleAt(params, place.offset, head, group, swizzled)] = codes.scale;
  }
}

}  // namespace

Status ReshapeAndCacheNvfp4Cpu(const ReshapeAndCacheNvfp4Params& params, ParallelFor parallel_for) {
  STABLEKV_RETURN_IF_ERROR(
      CheckSlots(params.slot_mapping, params.num_tokens, params.num_blocks, params.block_size));
  const int64_t elements = std::max<int64_t>(1, 2 * params.num_heads * params.head_size);
  const int64_t grain = std::max<int64_t>(1, kGrainElements / elements);
  RunParallel(parallel_for, params.num_tokens, grain, [&](int64_t begin, int64_t end) {
    for (int64_t token = begin; token < end; ++token) {
      const int64_t slot = params.slot_mapping[token];
      if (slot < 0) continue;
      const SlotPlace place = PlaceOfSlot(slot, params.block_size);
      for (int64_t head = 0; head < params.num_heads; ++head) {
        WriteHead(params, params.key, /*swizzled=*/false, token, place, head);
        WriteHead(params, params.value, /*swizzled=*/true, token, place, head);
      }
    }
  });
  return Status();
}

}  // namespace stablekv
