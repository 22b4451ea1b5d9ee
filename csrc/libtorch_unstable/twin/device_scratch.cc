#include "csrc/libtorch_stable/device_scratch.h"

#include <ATen/ops/empty.h>

namespace stablekv {

std::optional<Tensor> DeviceBytes(int32_t device_index, int64_t bytes) {
  const c10::Device device(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(device_index));
  try {
    return at::empty({bytes}, at::TensorOptions(device).dtype(at::ScalarType::Byte));
  } catch (const c10::OutOfMemoryError&) {
    return std::nullopt;
  }
}

}  // namespace stablekv
