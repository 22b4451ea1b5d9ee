#include <cuda_runtime_api.h>

#include <string>

#include "csrc/kernels/common/mapped_memory.h"

namespace stablekv {

Status DeviceAddressOf(const void* host, void** address) {
  *address = nullptr;
  cudaPointerAttributes attributes{};
  const cudaError_t error = cudaPointerGetAttributes(&attributes, host);
  if (error != cudaSuccess) {
    (void)cudaGetLastError();  // it is reported: it must not stay behind
    return Status::Error(std::string("what CUDA knows of an address cannot be had: ") +
                         cudaGetErrorString(error));
  }
  if (attributes.type == cudaMemoryTypeHost) *address = attributes.devicePointer;
  return Status();
}

}  // namespace stablekv
