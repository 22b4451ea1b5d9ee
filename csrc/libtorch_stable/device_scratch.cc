#include "csrc/libtorch_stable/device_scratch.h"

#include <torch/csrc/inductor/aoti_torch/c/shim.h>

namespace stablekv {

std::optional<Tensor> DeviceBytes(int32_t device_index, int64_t bytes) {
  const int64_t stride = 1;
  AtenTensorHandle handle = nullptr;
  if (aoti_torch_empty_strided(1, &bytes, &stride, aoti_torch_dtype_uint8(),
                               aoti_torch_device_type_cuda(), device_index, &handle) != 0) {
    return std::nullopt;
  }
  return Tensor(handle);
}

}  // namespace stablekv
