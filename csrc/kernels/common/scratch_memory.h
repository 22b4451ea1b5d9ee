// How CUDA kernels get memory for what lies between two launches: the caller hands in a way to ask
// for it, so that it comes from the allocator of the program it runs in.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_SCRATCH_MEMORY_H_
#define STABLEKV_CSRC_KERNELS_COMMON_SCRATCH_MEMORY_H_

#include <cstdint>

namespace stablekv {

// Memory of the device that a call works on.
struct ScratchMemory {
  // `bytes` bytes, aligned to 256, that nobody else touches before all that the call puts on its
  // stream has run; null if there are none. Asked at most once in a call.
  void* (*allocate)(int64_t bytes, void* context) = nullptr;
  void* context = nullptr;

  void* Allocate(int64_t bytes) const {
    return allocate == nullptr ? nullptr : allocate(bytes, context);
  }
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_COMMON_SCRATCH_MEMORY_H_
