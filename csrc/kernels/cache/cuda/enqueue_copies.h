// Copies of memory by the driver, one call for each.
#ifndef STABLEKV_CSRC_KERNELS_CACHE_CUDA_ENQUEUE_COPIES_H_
#define STABLEKV_CSRC_KERNELS_CACHE_CUDA_ENQUEUE_COPIES_H_

#include <cuda_runtime_api.h>

#include <cstdint>
#include <sstream>

#include "csrc/kernels/cache/memory_copies.h"
#include "csrc/kernels/common/status.h"

namespace stablekv {

// Whether `next` goes on where `copy` ends, on both sides.
inline bool Continues(const MemoryCopy& copy, const MemoryCopy& next) {
  return next.from == copy.from + copy.bytes && next.to == copy.to + copy.bytes;
}

// What the driver said of a copy. Its number would say nothing to a caller some of whose copies had
// nothing to do, or were merged.
inline Status CopyError(const MemoryCopy& copy, cudaError_t error) {
  std::ostringstream message;
  message << "a copy of " << copy.bytes << " bytes from " << static_cast<const void*>(copy.from)
          << " to " << static_cast<const void*>(copy.to)
          << " failed: " << cudaGetErrorString(error);
  return Status::Error(message.str());
}

// Enqueues `count` copies, in order. Neighbours that continue each other on both sides become one,
// but for cudaMemcpyDefault, where they may belong to different allocations.
inline Status EnqueueCopies(const MemoryCopy* copies, int64_t count, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  for (int64_t i = 0; i < count;) {
    MemoryCopy copy = copies[i];
    int64_t next = i + 1;
    // Merged copies do not overlap either: the sources would be overwritten otherwise.
    while (kind != cudaMemcpyDefault && next < count && Continues(copy, copies[next])) {
      const uintptr_t from = reinterpret_cast<uintptr_t>(copy.from);
      const uintptr_t to = reinterpret_cast<uintptr_t>(copy.to);
      const auto bytes = static_cast<uintptr_t>(copy.bytes + copies[next].bytes);
      if ((from < to ? to - from : from - to) < bytes) break;
      copy.bytes += copies[next++].bytes;
    }
    const cudaError_t error =
        cudaMemcpyAsync(copy.to, copy.from, static_cast<size_t>(copy.bytes), kind, stream);
    if (error != cudaSuccess) {
      (void)cudaGetLastError();
      return CopyError(copy, error);
    }
    i = next;
  }
  return Status();
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_CACHE_CUDA_ENQUEUE_COPIES_H_
