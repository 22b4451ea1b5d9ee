#include <cuda.h>
#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "csrc/kernels/common/mapped_memory.h"

namespace stablekv {
namespace {

using GetAttribute = CUresult(CUDAAPI*)(void* data, CUpointer_attribute attribute, CUdeviceptr);

GetAttribute FindGetAttribute() {
  constexpr unsigned int kVersion = 4000;  // of CUDA, that has it
  void* function = nullptr;
  cudaDriverEntryPointQueryResult result = cudaDriverEntryPointSymbolNotFound;
  const cudaError_t error = cudaGetDriverEntryPointByVersion("cuPointerGetAttribute", &function,
                                                             kVersion, cudaEnableDefault, &result);
  if (error != cudaSuccess || result != cudaDriverEntryPointSuccess) {
    (void)cudaGetLastError();
    return nullptr;
  }
  return reinterpret_cast<GetAttribute>(function);
}

// Whether the allocation that holds `address` goes on for `bytes` bytes from there.
bool IsOneAllocation(const void* address, int64_t bytes) {
  static const GetAttribute get_attribute = FindGetAttribute();
  if (get_attribute == nullptr) return false;
  const auto at = reinterpret_cast<CUdeviceptr>(address);
  CUdeviceptr begin = 0;
  size_t size = 0;
  if (get_attribute(&begin, CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, at) != CUDA_SUCCESS ||
      get_attribute(&size, CU_POINTER_ATTRIBUTE_RANGE_SIZE, at) != CUDA_SUCCESS) {
    return false;
  }
  return at >= begin && at - begin <= size && static_cast<size_t>(bytes) <= size - (at - begin);
}

// Of the byte at `host`.
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

}  // namespace

Status DeviceAddressOfRange(const void* host, int64_t bytes, void** address) {
  STABLEKV_RETURN_IF_ERROR(DeviceAddressOf(host, address));
  if (*address != nullptr && !IsOneAllocation(host, bytes)) *address = nullptr;
  return Status();
}

}  // namespace stablekv
