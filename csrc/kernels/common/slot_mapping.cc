#include "csrc/kernels/common/slot_mapping.h"

#include <string>

namespace stablekv {

Status CheckSlots(const int64_t* slot_mapping, int64_t num_tokens, int64_t num_blocks,
                  int64_t block_size) {
  const int64_t num_slots = num_blocks * block_size;
  for (int64_t token = 0; token < num_tokens; ++token) {
    const int64_t slot = slot_mapping[token];
    if (slot < num_slots) continue;
    return Status::Error("slot_mapping must hold slots less than " + std::to_string(num_slots) +
                         " (" + std::to_string(num_blocks) + " blocks of " +
                         std::to_string(block_size) + "), got " + std::to_string(slot) + " at [" +
                         std::to_string(token) + "]");
  }
  return Status();
}

}  // namespace stablekv
