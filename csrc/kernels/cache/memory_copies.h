// Copies of memory, many at a time.
#ifndef STABLEKV_CSRC_KERNELS_CACHE_MEMORY_COPIES_H_
#define STABLEKV_CSRC_KERNELS_CACHE_MEMORY_COPIES_H_

#include <cstdint>
#include <vector>

#include "csrc/kernels/common/parallel.h"

namespace stablekv {

// Of `bytes` > 0 bytes. The two ranges do not overlap.
struct MemoryCopy {
  const uint8_t* from;
  uint8_t* to;
  int64_t bytes;
};

// False when a copy may write what another one reads or writes, so that their order matters.
// All copies are of the same number of bytes.
bool AreIndependent(const std::vector<MemoryCopy>& copies);

// Copies on the CPU, with the bytes of all copies shared out evenly. The copies are independent.
void RunCopies(const std::vector<MemoryCopy>& copies, ParallelFor parallel_for);

// Copies on the CPU one after the other.
void RunCopiesInOrder(const std::vector<MemoryCopy>& copies);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_CACHE_MEMORY_COPIES_H_
