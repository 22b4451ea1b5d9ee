// A tensor as the operators' checks see it: enough to validate it and to fill a params struct, and
// nothing of the framework that it came from.
#ifndef STABLEKV_CSRC_OPS_TENSOR_ARG_H_
#define STABLEKV_CSRC_OPS_TENSOR_ARG_H_

#include <cstdint>

namespace stablekv {

enum class DType : int8_t {
  kFloat32,
  kFloat16,
  kBFloat16,
  kFloat8E4M3,
  kFloat8E5M2,
  kUInt8,
  kInt32,
  kInt64,
  // The rest is copied byte for byte or told apart for messages.
  kFloat64,
  kInt8,
  kInt16,
  kBool,
  kUInt16,
  kUInt32,
  kUInt64,
  kFloat8E4M3Fnuz,
  kFloat8E5M2Fnuz,
  kComplex32,
  kComplex64,
  kComplex128,
  kOther,  // what the stable ABI of torch 2.10 has no name for
  kNone,   // of no tensor: None came for one
};

enum class DeviceType : int8_t { kCpu, kCuda, kOther };

struct Device {
  DeviceType type = DeviceType::kCpu;
  int32_t index = 0;  // 0 on the CPU

  friend bool operator==(const Device& a, const Device& b) {
    return a.type == b.type && a.index == b.index;
  }
  friend bool operator!=(const Device& a, const Device& b) { return !(a == b); }
};

struct TensorArg {
  const char* name;  // of the argument, for messages
  void* data;
  const int64_t* sizes;    // dim values
  const int64_t* strides;  // dim values, in elements, >= 0
  int64_t dim;
  DType dtype;
  Device device;
  // Of DType::kOther: the bytes of an element, and a number that is another for another dtype.
  int32_t other_bytes = 1;
  int32_t other_number = 0;

  int64_t size(int64_t i) const { return sizes[i]; }
  int64_t stride(int64_t i) const { return strides[i]; }
};

// None where a tensor was to come. No check of a dtype or a device lets it pass.
inline TensorArg NoTensor(const char* name) {
  return {name, nullptr, nullptr, nullptr, 0, DType::kNone, {DeviceType::kOther, 0}};
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_OPS_TENSOR_ARG_H_
