#include "csrc/ops/memory.h"

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <limits>

namespace stablekv {
namespace {

uint64_t StepOf(const TensorArg& tensor, int64_t i) {
  return static_cast<uint64_t>(tensor.stride(i)) * static_cast<uint64_t>(SizeOf(tensor));
}

// Bytes from the first element to the end of the last one, leaving out dimensions that step by
// multiples of `pitch`, unless it is 0.
uint64_t ExtentWithin(uint64_t pitch, const TensorArg& tensor) {
  uint64_t extent = static_cast<uint64_t>(SizeOf(tensor));
  for (int64_t i = 0; i < tensor.dim; ++i) {
    const uint64_t step = StepOf(tensor, i);
    if (pitch == 0 || step % pitch != 0) extent += static_cast<uint64_t>(tensor.size(i) - 1) * step;
  }
  return extent;
}

// True when every address of `low`, modulo `pitch`, falls in another part of the pitch than every
// address of `high`, which begins `distance` bytes later.
bool Alternate(uint64_t pitch, const TensorArg& low, const TensorArg& high, uint64_t distance) {
  const uint64_t offset = distance % pitch;
  return offset >= ExtentWithin(pitch, low) && ExtentWithin(pitch, high) <= pitch - offset;
}

bool SameLayout(const TensorArg& a, const TensorArg& b) {
  if (a.dim != b.dim || SizeOf(a) != SizeOf(b)) return false;
  for (int64_t i = 0; i < a.dim; ++i) {
    if (a.size(i) != b.size(i)) return false;
    if (a.size(i) > 1 && a.stride(i) != b.stride(i)) return false;
  }
  return true;
}

// True when `low` and the tensor of the same layout that begins `distance` bytes later are the two
// halves of a tensor whose elements are distinct: that of one more dimension.
bool AreHalves(const TensorArg& low, const TensorArg& high, uint64_t distance) {
  constexpr int64_t kMaxDim = 8;
  const auto element = static_cast<uint64_t>(SizeOf(low));
  if (low.dim >= kMaxDim || !SameLayout(low, high) || distance % element != 0) return false;
  int64_t sizes[kMaxDim] = {2};
  int64_t strides[kMaxDim] = {static_cast<int64_t>(distance / element)};
  std::copy_n(low.sizes, low.dim, sizes + 1);
  std::copy_n(low.strides, low.dim, strides + 1);
  TensorArg both = low;
  both.sizes = sizes;
  both.strides = strides;
  both.dim = low.dim + 1;
  return HasDistinctElements(both);
}

}  // namespace

int64_t SizeOf(DType dtype) {
  switch (dtype) {
    case DType::kComplex128:
      return 16;
    case DType::kInt64:
    case DType::kUInt64:
    case DType::kFloat64:
    case DType::kComplex64:
      return 8;
    case DType::kFloat32:
    case DType::kInt32:
    case DType::kUInt32:
    case DType::kComplex32:
      return 4;
    case DType::kFloat16:
    case DType::kBFloat16:
    case DType::kInt16:
    case DType::kUInt16:
      return 2;
    case DType::kFloat8E4M3:
    case DType::kFloat8E5M2:
    case DType::kFloat8E4M3Fnuz:
    case DType::kFloat8E5M2Fnuz:
    case DType::kUInt8:
    case DType::kInt8:
    case DType::kBool:
    case DType::kOther:
    case DType::kNone:
      break;
  }
  return 1;
}

int64_t SizeOf(const TensorArg& tensor) {
  return tensor.dtype == DType::kOther ? tensor.other_bytes : SizeOf(tensor.dtype);
}

bool FitsInto(const TensorArg& tensor, int64_t offset, int64_t bytes) {
  if (NumElements(tensor) == 0) return true;
  const auto end = static_cast<uint64_t>(offset * SizeOf(tensor)) + ExtentWithin(0, tensor);
  return end <= static_cast<uint64_t>(bytes);
}

int64_t NumElements(const TensorArg& tensor) {
  int64_t count = 1;
  // Sizes before a 0 may be of any product.
  for (int64_t i = 0; i < tensor.dim; ++i) count = SaturatingMultiply(count, tensor.size(i));
  return count;
}

int64_t SaturatingMultiply(int64_t a, int64_t b) {
  int64_t product;
  if (__builtin_mul_overflow(a, b, &product)) return std::numeric_limits<int64_t>::max();
  return product;
}

int64_t SaturatingAdd(int64_t a, int64_t b) {
  int64_t sum;
  if (__builtin_add_overflow(a, b, &sum)) return std::numeric_limits<int64_t>::max();
  return sum;
}

bool HasDistinctElements(const TensorArg& tensor) {
  if (NumElements(tensor) <= 1) return true;
  // Walks the dimensions from the smallest stride up; each must step over all that came before.
  int64_t covered = 1;  // elements from the first to the last one of the dimensions walked
  int64_t last = -1;    // stride of the dimension walked last
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
  const bool in_order = reinterpret_cast<uintptr_t>(a.data) <= reinterpret_cast<uintptr_t>(b.data);
  const TensorArg& low = in_order ? a : b;
  const TensorArg& high = in_order ? b : a;
  const uint64_t distance =
      reinterpret_cast<uintptr_t>(high.data) - reinterpret_cast<uintptr_t>(low.data);
  if (ExtentWithin(0, low) <= distance) return false;
  if (AreHalves(low, high, distance)) return false;

  for (const TensorArg* tensor : {&low, &high}) {
    for (int64_t i = 0; i < tensor->dim; ++i) {
      const uint64_t pitch = StepOf(*tensor, i);
      if (pitch > 0 && Alternate(pitch, low, high, distance)) return false;
    }
  }
  return true;
}

}  // namespace stablekv
