#include "csrc/libtorch_stable/cuda_stream.h"

#include <c10/core/impl/VirtualGuardImpl.h>

// torch's headers for CUDA need the CUDA toolkit beside them; its table of devices does not.
namespace stablekv {

bool TorchHasCuda() { return c10::impl::hasDeviceGuardImpl(c10::DeviceType::CUDA); }

CudaStream CurrentCudaStream(int32_t device_index) {
  const c10::impl::VirtualGuardImpl cuda(c10::DeviceType::CUDA);
  const c10::Device device(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(device_index));
  return static_cast<CudaStream>(cuda.getStreamNativeHandle(cuda.getStream(device)));
}

}  // namespace stablekv
