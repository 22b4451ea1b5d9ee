// Copies of device memory on the host, for checks of what index tensors hold.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_HOST_COPY_H_
#define STABLEKV_CSRC_KERNELS_COMMON_HOST_COPY_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "csrc/kernels/common/cuda_stream.h"
#include "csrc/kernels/common/status.h"

namespace stablekv {

// Whether work on `stream` is being recorded into a CUDA graph, so that nothing can be waited for.
Status IsCapturing(CudaStream stream, bool* capturing);

// Returns when `bytes` bytes have arrived, after all work that is on `stream` now.
Status CopyToHost(const void* from, int64_t bytes, void* to, CudaStream stream);

// Owns the copies.
class HostCopies {
 public:
  explicit HostCopies(CudaStream stream) : stream_(stream) {}

  // Makes `*elements`, `count` of them on the device, point to a copy. Null, and a pointer to none,
  // stays as it is.
  template <typename T>
  Status Fetch(const T** elements, int64_t count) {
    if (*elements == nullptr || count <= 0) return Status();
    const int64_t bytes = count * static_cast<int64_t>(sizeof(T));
    buffers_.emplace_back(new unsigned char[static_cast<size_t>(bytes)]);
    void* const copy = buffers_.back().get();
    STABLEKV_RETURN_IF_ERROR(CopyToHost(*elements, bytes, copy, stream_));
    *elements = static_cast<const T*>(copy);
    return Status();
  }

 private:
  CudaStream stream_;
  std::vector<std::unique_ptr<unsigned char[]>> buffers_;
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_COMMON_HOST_COPY_H_
