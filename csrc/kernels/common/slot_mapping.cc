#include "csrc/kernels/common/slot_mapping.h"

#include <string>

namespace stablekv {

Status CheckSlots(const int64_t* slot_mapping, int64_t num_tokens, int64_t num_blocks,
                  int64_t block_size) {
  const int64_t num_slots = num_blocks * block_size;
  for (int64_t token = 0; token < num_tokens; ++token) {
    const int64_t slot = slot_mapping[token];
    if (slot < num_slots) continue;
    return Status::Error("slot_mapping[" + std::to_string(token) + "] is " + std::to_string(slot) +
                         ", want less than " + std::to_string(num_slots) + ", as the cache has " +
                         std::to_string(num_blocks) + " blocks of " + std::to_string(block_size) +
                         " slots");
  }
  return Status();
}

}  // namespace stablekv
