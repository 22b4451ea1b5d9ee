#include <cuda_runtime_api.h>

#include <atomic>

#include "csrc/kernels/common/cuda/code_arch.h"

namespace stablekv {
namespace {

// All kernels of a build are compiled for the same architectures: this one stands for them.
__global__ void CodeArchKernel() {}

int AskRuntime() {
  cudaFuncAttributes attributes;
  const cudaError_t error =
      cudaFuncGetAttributes(&attributes, reinterpret_cast<const void*>(CodeArchKernel));
  if (error == cudaSuccess) return attributes.ptxVersion;
  (void)cudaGetLastError();  // the launch that follows says it in words
  return 0;
}

}  // namespace

int CodeArch() {
  constexpr int kDevices = 64;
  static std::atomic<int> known[kDevices];  // 0: not yet
  int device = 0;
  if (cudaGetDevice(&device) != cudaSuccess) {
    (void)cudaGetLastError();
    return 0;
  }
  if (device >= kDevices) return AskRuntime();
  int arch = known[device].load(std::memory_order_relaxed);
  if (arch == 0) {
    arch = AskRuntime();
    known[device].store(arch, std::memory_order_relaxed);
  }
  return arch;
}

}  // namespace stablekv
