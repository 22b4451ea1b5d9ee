// torch.ops.image_ops.brighten for CPU and CUDA, on the stable ABI.
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <stdexcept>

#include "brighten.h"
#include "csrc/libtorch_stable/cuda_stream.h"

namespace {

using torch::stable::Tensor;

const uint8_t* Input(const Tensor& image, int64_t amount) {
  if (image.scalar_type() != torch::headeronly::ScalarType::Byte) {
    throw std::runtime_error("brighten: image: wanted uint8");
  }
  if (!image.is_contiguous()) throw std::runtime_error("brighten: image: wanted contiguous memory");
  if (amount < 0 || amount > 255) throw std::runtime_error("brighten: amount: wanted 0 to 255");
  return static_cast<const uint8_t*>(image.const_data_ptr());
}

Tensor BrightenOnCpu(const Tensor& image, int64_t amount) {
  const uint8_t* in = Input(image, amount);
  Tensor out = torch::stable::empty_like(image);
  auto* bytes = static_cast<uint8_t*>(out.mutable_data_ptr());
  std::transform(in, in + image.numel(), bytes, [amount](uint8_t value) {
    return static_cast<uint8_t>(std::min<int64_t>(value + amount, 255));
  });
  return out;
}

Tensor BrightenOnCuda(const Tensor& image, int64_t amount) {
  const uint8_t* in = Input(image, amount);
  const int32_t device = image.get_device_index();
  const torch::stable::accelerator::DeviceGuard guard(device);
  Tensor out = torch::stable::empty_like(image);
  const char* error =
      BrightenCuda(in, static_cast<uint8_t*>(out.mutable_data_ptr()), image.numel(),
                   static_cast<uint8_t>(amount), stablekv::CurrentCudaStream(device));
  if (error != nullptr) throw std::runtime_error(error);
  return out;
}

}  // namespace

STABLE_TORCH_LIBRARY(image_ops, library) {
  library.def("brighten(Tensor image, int amount) -> Tensor");
}
STABLE_TORCH_LIBRARY_IMPL(image_ops, CPU, library) {
  library.impl("brighten", TORCH_BOX(&BrightenOnCpu));
}
STABLE_TORCH_LIBRARY_IMPL(image_ops, CUDA, library) {
  library.impl("brighten", TORCH_BOX(&BrightenOnCuda));
}
