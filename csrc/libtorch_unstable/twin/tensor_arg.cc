#include "csrc/libtorch_stable/tensor_arg.h"

#include "csrc/ops/memory.h"

namespace stablekv {
namespace {

DType ToDType(at::ScalarType type) {
  switch (type) {
    case at::ScalarType::Half:
      return DType::kFloat16;
    case at::ScalarType::BFloat16:
      return DType::kBFloat16;
    case at::ScalarType::Float:
      return DType::kFloat32;
    case at::ScalarType::Int:
      return DType::kInt32;
    case at::ScalarType::Long:
      return DType::kInt64;
    case at::ScalarType::Byte:
      return DType::kUInt8;
    case at::ScalarType::Float8_e4m3fn:
      return DType::kFloat8E4M3;
    case at::ScalarType::Float8_e5m2:
      return DType::kFloat8E5M2;
    case at::ScalarType::Double:
      return DType::kFloat64;
    case at::ScalarType::Char:
      return DType::kInt8;
    case at::ScalarType::Short:
      return DType::kInt16;
    case at::ScalarType::Bool:
      return DType::kBool;
    case at::ScalarType::UInt16:
      return DType::kUInt16;
    case at::ScalarType::UInt32:
      return DType::kUInt32;
    case at::ScalarType::UInt64:
      return DType::kUInt64;
    case at::ScalarType::Float8_e4m3fnuz:
      return DType::kFloat8E4M3Fnuz;
    case at::ScalarType::Float8_e5m2fnuz:
      return DType::kFloat8E5M2Fnuz;
    case at::ScalarType::ComplexHalf:
      return DType::kComplex32;
    case at::ScalarType::ComplexFloat:
      return DType::kComplex64;
    case at::ScalarType::ComplexDouble:
      return DType::kComplex128;
    default:
      return DType::kOther;
  }
}

Device ToDevice(c10::Device device) {
  if (device.is_cpu()) return {DeviceType::kCpu, 0};
  return {device.is_cuda() ? DeviceType::kCuda : DeviceType::kOther, device.index()};
}

// A storage that was resized leaves a tensor with its sizes and an address where they are not.
TensorArg Describe(const char* name, const at::Tensor& tensor, const void* data) {
  TensorArg arg{name,
                nullptr,
                tensor.sizes().data(),
                tensor.strides().data(),
                tensor.dim(),
                ToDType(tensor.scalar_type()),
                ToDevice(tensor.device())};
  if (arg.dtype == DType::kOther) {
    arg.other_bytes = static_cast<int32_t>(tensor.element_size());
    arg.other_number = static_cast<int32_t>(tensor.scalar_type());
  }
  const auto bytes = static_cast<int64_t>(tensor.storage().nbytes());
  if (bytes != 0 && FitsInto(arg, tensor.storage_offset(), bytes)) {
    arg.data = const_cast<void*>(data);
  }
  return arg;
}

}  // namespace

TensorArg InputArg(const char* name, const at::Tensor& tensor) {
  if (!tensor.defined()) return NoTensor(name);
  return Describe(name, tensor, tensor.const_data_ptr());
}

TensorArg OutputArg(const char* name, const at::Tensor& tensor) {
  if (!tensor.defined()) return NoTensor(name);
  return Describe(name, tensor, tensor.mutable_data_ptr());
}

}  // namespace stablekv
