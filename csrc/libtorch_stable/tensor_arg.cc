#include "csrc/libtorch_stable/tensor_arg.h"

#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/c/shim.h>
#include <torch/headeronly/util/shim_utils.h>

#include <algorithm>
#include <iterator>

#include "csrc/ops/memory.h"

namespace stablekv {
namespace {

// torch's numbers for dtypes and devices may differ from one release to the next, so they are asked
// for once, when the library is loaded.
struct DTypes {
  static constexpr int32_t kCodes = 256;
  DType of_code[kCodes];

  DTypes() {
    std::fill(std::begin(of_code), std::end(of_code), DType::kOther);
    Set(aoti_torch_dtype_float16(), DType::kFloat16);
    Set(aoti_torch_dtype_bfloat16(), DType::kBFloat16);
    Set(aoti_torch_dtype_float32(), DType::kFloat32);
    Set(aoti_torch_dtype_int32(), DType::kInt32);
    Set(aoti_torch_dtype_int64(), DType::kInt64);
    Set(aoti_torch_dtype_uint8(), DType::kUInt8);
    Set(aoti_torch_dtype_float8_e4m3fn(), DType::kFloat8E4M3);
    Set(aoti_torch_dtype_float8_e5m2(), DType::kFloat8E5M2);
    Set(aoti_torch_dtype_float64(), DType::kFloat64);
    Set(aoti_torch_dtype_int8(), DType::kInt8);
    Set(aoti_torch_dtype_int16(), DType::kInt16);
    Set(aoti_torch_dtype_bool(), DType::kBool);
    Set(aoti_torch_dtype_uint16(), DType::kUInt16);
    Set(aoti_torch_dtype_uint32(), DType::kUInt32);
    Set(aoti_torch_dtype_uint64(), DType::kUInt64);
    Set(aoti_torch_dtype_float8_e4m3fnuz(), DType::kFloat8E4M3Fnuz);
    Set(aoti_torch_dtype_float8_e5m2fnuz(), DType::kFloat8E5M2Fnuz);
    Set(aoti_torch_dtype_complex32(), DType::kComplex32);
    Set(aoti_torch_dtype_complex64(), DType::kComplex64);
    Set(aoti_torch_dtype_complex128(), DType::kComplex128);
  }

  void Set(int32_t code, DType dtype) {
    if (code >= 0 && code < kCodes) of_code[code] = dtype;
  }
};

const DTypes kDTypes;
const int32_t kCpuCode = aoti_torch_device_type_cpu();
const int32_t kCudaCode = aoti_torch_device_type_cuda();

DType ToDType(int32_t code) {
  return code >= 0 && code < DTypes::kCodes ? kDTypes.of_code[code] : DType::kOther;
}

// Not for None, which a schema lets pass where it wants a tensor.
bool IsDefined(AtenTensorHandle handle) {
  bool is_defined;
  TORCH_ERROR_CODE_CHECK(aoti_torch_is_defined(handle, &is_defined));
  return is_defined;
}

Device DeviceOf(AtenTensorHandle handle) {
  int32_t type;
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_device_type(handle, &type));
  if (type == kCpuCode) return {DeviceType::kCpu, 0};
  int32_t index;
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_device_index(handle, &index));
  return {type == kCudaCode ? DeviceType::kCuda : DeviceType::kOther, index};
}

// A storage that was resized, to nothing as sharded training does to free memory, or to less,
// leaves a tensor with its sizes and an address where they are not. Then it is described as without
// memory.
void* DataOf(AtenTensorHandle handle, const TensorArg& tensor, const void* data) {
  int64_t storage_bytes;
  int64_t offset;
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_storage_size(handle, &storage_bytes));
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_storage_offset(handle, &offset));
  const bool is_there = storage_bytes != 0 && FitsInto(tensor, offset, storage_bytes);
  return is_there ? const_cast<void*>(data) : nullptr;
}

TensorArg Describe(const char* name, AtenTensorHandle handle, const void* data) {
  int64_t* sizes;
  int64_t* strides;
  int64_t dim;
  int32_t code;
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_sizes(handle, &sizes));
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_strides(handle, &strides));
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_dim(handle, &dim));
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_dtype(handle, &code));
  TensorArg arg{name, nullptr, sizes, strides, dim, ToDType(code), DeviceOf(handle)};
  if (arg.dtype == DType::kOther) {
    arg.other_bytes = static_cast<int32_t>(aoti_torch_dtype_element_size(code));
    arg.other_number = code;
  }
  arg.data = DataOf(handle, arg, data);
  return arg;
}

}  // namespace

TensorArg InputArg(const char* name, const Tensor& tensor) {
  if (!IsDefined(tensor.get())) return NoTensor(name);
  const void* data;
  TORCH_ERROR_CODE_CHECK(torch_get_const_data_ptr(tensor.get(), &data));
  return Describe(name, tensor.get(), data);
}

TensorArg OutputArg(const char* name, const Tensor& tensor) {
  if (!IsDefined(tensor.get())) return NoTensor(name);
  void* data;
  TORCH_ERROR_CODE_CHECK(torch_get_mutable_data_ptr(tensor.get(), &data));
  return Describe(name, tensor.get(), data);
}

}  // namespace stablekv
