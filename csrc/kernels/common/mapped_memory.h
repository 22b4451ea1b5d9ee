// The host's memory as a CUDA device sees it.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_MAPPED_MEMORY_H_
#define STABLEKV_CSRC_KERNELS_COMMON_MAPPED_MEMORY_H_

#include <cstdint>

#include "csrc/kernels/common/status.h"

namespace stablekv {

// Sets `*address` to where the current CUDA device finds the `bytes` > 0 bytes from `host`, or to
// null where they are not all in one pinned allocation.
Status DeviceAddressOfRange(const void* host, int64_t bytes, void** address);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_COMMON_MAPPED_MEMORY_H_
