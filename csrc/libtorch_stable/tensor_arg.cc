#include "csrc/libtorch_stable/tensor_arg.h"

#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/headeronly/util/shim_utils.h>

namespace stablekv {
namespace {

// torch's numbers for dtypes and devices may differ from one release to the next, so they are asked
// for once, when the library runs.
DType ToDType(int32_t code) {
  struct Entry {
    int32_t code;
    DType dtype;
  };
  static const Entry entries[] = {
      {aoti_torch_dtype_float16(), DType::kFloat16},
      {aoti_torch_dtype_bfloat16(), DType::kBFloat16},
      {aoti_torch_dtype_float32(), DType::kFloat32},
      {aoti_torch_dtype_int32(), DType::kInt32},
      {aoti_torch_dtype_int64(), DType::kInt64},
      {aoti_torch_dtype_uint8(), DType::kUInt8},
      {aoti_torch_dtype_float8_e4m3fn(), DType::kFloat8E4M3},
      {aoti_torch_dtype_float8_e5m2(), DType::kFloat8E5M2},
      {aoti_torch_dtype_float64(), DType::kFloat64},
      {aoti_torch_dtype_int8(), DType::kInt8},
      {aoti_torch_dtype_int16(), DType::kInt16},
      {aoti_torch_dtype_bool(), DType::kBool},
  };
  for (const Entry& entry : entries) {
    if (entry.code == code) return entry.dtype;
  }
  return DType::kOther;
}

Device ToDevice(int32_t type, int32_t index) {
  static const int32_t cpu = aoti_torch_device_type_cpu();
  static const int32_t cuda = aoti_torch_device_type_cuda();
  if (type == cpu) return {DeviceType::kCpu, 0};
  if (type == cuda) return {DeviceType::kCuda, index};
  return {DeviceType::kOther, index};
}

// A storage that was resized to nothing, as sharded training does to free memory, leaves a tensor
// with its sizes and an address that is not one.
void* DataOf(AtenTensorHandle handle, const void* data) {
  int64_t storage_bytes;
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_storage_size(handle, &storage_bytes));
  return storage_bytes == 0 ? nullptr : const_cast<void*>(data);
}

// All but the data.
TensorArg Describe(const char* name, AtenTensorHandle handle) {
  int64_t* sizes;
  int64_t* strides;
  int64_t dim;
  int32_t dtype;
  int32_t device_type;
  int32_t device_index;
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_sizes(handle, &sizes));
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_strides(handle, &strides));
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_dim(handle, &dim));
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_dtype(handle, &dtype));
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_device_type(handle, &device_type));
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_device_index(handle, &device_index));
  return {name, nullptr, sizes, strides, dim, ToDType(dtype), ToDevice(device_type, device_index)};
}

}  // namespace

TensorArg InputArg(const char* name, const Tensor& tensor) {
  TensorArg arg = Describe(name, tensor.get());
  arg.data = DataOf(tensor.get(), tensor.const_data_ptr());
  return arg;
}

TensorArg OutputArg(const char* name, const Tensor& tensor) {
  TensorArg arg = Describe(name, tensor.get());
  arg.data = DataOf(tensor.get(), tensor.mutable_data_ptr());
  return arg;
}

}  // namespace stablekv
