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

// Bytes from the first element to the end of the last one.
int64_t ExtentOf(const at::Tensor& tensor) {
  // As a whole: size(i) and stride(i) need one more function of torch.
  const at::IntArrayRef sizes = tensor.sizes();
  const at::IntArrayRef strides = tensor.strides();
  int64_t last = 0;
  for (size_t i = 0; i < sizes.size(); ++i) last += (sizes[i] - 1) * strides[i];
  return (last + 1) * static_cast<int64_t>(tensor.itemsize());
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
  // The view may be written: memory that is shared copy-on-write is first made its own.
  const Status status =
      DeviceAddressOfRange(cpu_tensor.mutable_data_ptr(), ExtentOf(cpu_tensor), &address);
  if (!status.ok()) Fail(status.message());
  if (address == nullptr) {
    Fail(
        "cpu_tensor must be in pinned memory, all of it in one allocation, got memory that is "
        "pageable, or not pinned as one to its last byte");
  }
  return TensorAt(address, device, cpu_tensor)
      .context(new at::Tensor(cpu_tensor),
               [](void* owner) { delete static_cast<at::Tensor*>(owner); })
      .make_tensor();
}

}  // namespace stablekv
