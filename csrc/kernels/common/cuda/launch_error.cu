#include <string>

#include "csrc/kernels/common/cuda/built_archs.h"
#include "csrc/kernels/common/cuda/launch_error.h"
#include "csrc/kernels/common/missing_code.h"

namespace stablekv {
namespace {

// No machine code for the device, and no PTX either, or none that its driver compiles.
bool IsMissingCode(cudaError_t error) {
  switch (error) {
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorInvalidDeviceFunction:
    case cudaErrorInvalidKernelImage:
    case cudaErrorUnsupportedPtxVersion:
    case cudaErrorJitCompilationDisabled:
      return true;
    default:
      return false;
  }
}

// The current device; what cannot be found out stays "unknown" and 0.
DeviceKind CurrentDevice() {
  DeviceKind device{0, "unknown", 0, 0};
  cudaDeviceProp properties;
  if (cudaGetDevice(&device.index) != cudaSuccess ||
      cudaGetDeviceProperties(&properties, device.index) != cudaSuccess) {
    (void)cudaGetLastError();
    return device;
  }
  return {device.index, properties.name, properties.major, properties.minor};
}

}  // namespace

Status LaunchError(const char* kernel, cudaError_t error) {
  (void)cudaGetLastError();
  const std::string message =
      std::string("launch of CUDA kernel ") + kernel + " failed: " + cudaGetErrorString(error);
  if (!IsMissingCode(error)) return Status::Error(message);
  return Status::Error(message + ": " + MissingCode(BuiltCudaArchs(), CurrentDevice()));
}

}  // namespace stablekv
