#include "csrc/libtorch_unstable/cuda_view.h"

#include <c10/core/impl/DeviceGuardImplInterface.h>

#include <stdexcept>
#include <string>

#include "csrc/kernels/common/mapped_memory.h"
#include "csrc/libtorch_unstable/tensor_at.h"
#include "csrc/libtorch_unstable/values_in_memory.h"

namespace stablekv {
namespace {

constexpr const char* kOp = "get_cuda_view_from_cpu_tensor";

[[noreturn]] void Fail(const std::string& message) {
  throw std::runtime_error(std::string(kOp) + ": " + message);
}

c10::Device CurrentCudaDevice() {
  // torch's headers for CUDA need the CUDA toolkit beside them; its table of devices does not.
  const c10::impl::DeviceGuardImplInterface* cuda =
      c10::impl::device_guard_impl_registry[static_cast<size_t>(c10::DeviceType::CUDA)].load();
  if (cuda == nullptr) Fail("this torch is built without CUDA");
  if (cuda->deviceCount() == 0) Fail("there is no CUDA device");
  return cuda->getDevice();
}

}  // namespace

at::Tensor CudaViewFromCpuTensor(const at::Tensor& cpu_tensor) {
  if (!cpu_tensor.is_cpu()) {
    Fail("cpu_tensor must be on cpu, got " + cpu_tensor.device().str());
  }
  CheckValuesInMemory(kOp, "cpu_tensor", cpu_tensor);
  const c10::Device device = CurrentCudaDevice();
  if (cpu_tensor.numel() == 0) return TensorAt(nullptr, device, cpu_tensor).make_tensor();
  void* address = nullptr;
  const Status status = DeviceAddressOf(cpu_tensor.const_data_ptr(), &address);
  if (!status.ok()) Fail(status.message());
  if (address == nullptr) Fail("cpu_tensor must be in pinned memory, got pageable memory");
  return TensorAt(address, device, cpu_tensor)
      .context(new at::Tensor(cpu_tensor),
               [](void* owner) { delete static_cast<at::Tensor*>(owner); })
      .make_tensor();
}

}  // namespace stablekv
