// Slots of a paged cache, where tokens are written: slot = block * block_size + offset.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_SLOT_MAPPING_H_
#define STABLEKV_CSRC_KERNELS_COMMON_SLOT_MAPPING_H_

#include <cstdint>

#include "csrc/kernels/common/host_device.h"
#include "csrc/kernels/common/status.h"

namespace stablekv {

struct SlotPlace {
  int64_t block;
  int64_t offset;  // tokens into the block
};

// Whether a slot is one of the cache's: neither padding nor past it.
STABLEKV_HOST_DEVICE inline bool IsSlot(int64_t slot, int64_t num_slots) {
  return slot >= 0 && slot < num_slots;
}

// Where the token of a slot goes, for a slot that is one.
STABLEKV_HOST_DEVICE inline SlotPlace PlaceOfSlot(int64_t slot, int64_t block_size) {
  const int64_t block = slot / block_size;
  return {block, slot - block * block_size};
}

// Refuses a slot past the cache. Negative slots are padding, and fine.
Status CheckSlots(const int64_t* slot_mapping, int64_t num_tokens, int64_t num_blocks,
                  int64_t block_size);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_COMMON_SLOT_MAPPING_H_
