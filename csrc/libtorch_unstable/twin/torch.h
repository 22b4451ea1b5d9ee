// torch as the bindings see it, by ATen: what csrc/libtorch_stable/torch.h is in the tests' twin.
#ifndef STABLEKV_CSRC_LIBTORCH_UNSTABLE_TWIN_TORCH_H_
#define STABLEKV_CSRC_LIBTORCH_UNSTABLE_TWIN_TORCH_H_

#include <ATen/core/Tensor.h>
#include <c10/core/DeviceGuard.h>

#include <cstdint>
#include <string>

namespace stablekv {

using Tensor = at::Tensor;
using StringArg = std::string;

// Makes a CUDA device the current one, by its index, as long as it lives.
class DeviceGuard {
 public:
  explicit DeviceGuard(int32_t index)
      : guard_(c10::Device(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(index))) {}

 private:
  c10::DeviceGuard guard_;
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_LIBTORCH_UNSTABLE_TWIN_TORCH_H_
