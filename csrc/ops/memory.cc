#include "csrc/ops/memory.h"

#include <cstdint>
#include <initializer_list>
#include <limits>

namespace stablekv {
namespace {

// Bytes from the first element to the end of the last one, over dimensions [first, dim).
uint64_t ExtentFrom(const TensorArg& tensor, int64_t first) {
  uint64_t last = 0;
  for (int64_t i = first; i < tensor.dim; ++i) {
    last += static_cast<uint64_t>(tensor.size(i) - 1) * static_cast<uint64_t>(tensor.stride(i));
  }
  return (last + 1) * static_cast<uint64_t>(SizeOf(tensor.dtype));
}

// True when dimension `i` tells the tensors apart: every address of `a`, taken modulo its pitch,
// falls in another part of the pitch than every address of `b`.
bool Alternate(const TensorArg& a, const TensorArg& b, uint64_t distance, int64_t i) {
  const int64_t pitch = a.stride(i) * SizeOf(a.dtype);
  if (pitch < 1 || pitch != b.stride(i) * SizeOf(b.dtype)) return false;
  for (int64_t outer = 0; outer < i; ++outer) {
    for (const TensorArg* tensor : {&a, &b}) {
      const int64_t step = tensor->stride(outer) * SizeOf(tensor->dtype);
      if (tensor->size(outer) > 1 && step % pitch != 0) return false;
    }
  }
  const uint64_t offset = distance % static_cast<uint64_t>(pitch);
  return offset >= ExtentFrom(a, i + 1) && ExtentFrom(b, i + 1) <= pitch - offset;
}

}  // namespace

int64_t SizeOf(DType dtype) {
  switch (dtype) {
    case DType::kInt64:
    case DType::kFloat64:
      return 8;
    case DType::kFloat32:
    case DType::kInt32:
      return 4;
    case DType::kFloat16:
    case DType::kBFloat16:
    case DType::kInt16:
      return 2;
    case DType::kFloat8E4M3:
    case DType::kFloat8E5M2:
    case DType::kUInt8:
    case DType::kInt8:
    case DType::kBool:
    case DType::kOther:
      break;
  }
  return 1;
}

int64_t NumElements(const TensorArg& tensor) {
  int64_t count = 1;
  for (int64_t i = 0; i < tensor.dim; ++i) count *= tensor.size(i);
  return count;
}

int64_t SaturatingMultiply(int64_t a, int64_t b) {
  int64_t product;
  if (__builtin_mul_overflow(a, b, &product)) return std::numeric_limits<int64_t>::max();
  return product;
}

bool HasDistinctElements(const TensorArg& tensor) {
  if (NumElements(tensor) <= 1) return true;
  // Walks the dimensions from the smallest stride up; each must step over all that came before.
  int64_t covered = 1;   // elements from the first to the last one of the dimensions walked
  int64_t last = -1;     // stride of the dimension walked last
  int64_t last_dim = -1;
  for (;;) {
    int64_t next = -1;
    for (int64_t i = 0; i < tensor.dim; ++i) {
      if (tensor.size(i) == 1) continue;
      const int64_t stride = tensor.stride(i);
      const bool walked = stride < last || (stride == last && i <= last_dim);
      if (walked) continue;
      if (next < 0 || stride < tensor.stride(next)) next = i;
    }
    if (next < 0) return true;
    if (tensor.stride(next) < covered) return false;
    covered += (tensor.size(next) - 1) * tensor.stride(next);
    last = tensor.stride(next);
    last_dim = next;
  }
}

bool MayOverlap(const TensorArg& a, const TensorArg& b) {
  if (NumElements(a) == 0 || NumElements(b) == 0) return false;
  const auto a_begin = reinterpret_cast<uintptr_t>(a.data);
  const auto b_begin = reinterpret_cast<uintptr_t>(b.data);
  if (a_begin + ExtentFrom(a, 0) <= b_begin || b_begin + ExtentFrom(b, 0) <= a_begin) return false;

  const TensorArg& low = a_begin <= b_begin ? a : b;
  const TensorArg& high = a_begin <= b_begin ? b : a;
  const uint64_t distance = a_begin <= b_begin ? b_begin - a_begin : a_begin - b_begin;
  for (int64_t i = 0; i < a.dim && i < b.dim; ++i) {
    if (Alternate(low, high, distance, i)) return false;
  }
  return true;
}

}  // namespace stablekv
