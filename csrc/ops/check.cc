#include "csrc/ops/check.h"

#include "csrc/ops/describe.h"
#include "csrc/ops/memory.h"

namespace stablekv {
namespace {

std::string WantedShape(std::initializer_list<Dim> want) {
  std::string names;
  std::string sizes;
  bool any_fixed = false;
  for (const Dim& dim : want) {
    if (!names.empty()) {
      names += ", ";
      sizes += ", ";
    }
    names += dim.name;
    sizes += dim.size == kAnySize ? "any" : std::to_string(dim.size);
    any_fixed |= dim.size != kAnySize;
  }
  std::string text = "have shape [" + names + "]";
  if (any_fixed) text += " = [" + sizes + "]";
  return text;
}

}  // namespace

Status ArgumentError(const char* op, const char* argument, const std::string& wanted,
                     const std::string& got) {
  return Status::Error(std::string(op) + ": " + argument + " must " + wanted + ", got " + got);
}

Status ArgumentError(const char* op, const char* argument, const std::string& wanted, int64_t got) {
  return ArgumentError(op, argument, wanted, std::to_string(got));
}

Status CheckBackend(const char* op, const TensorArg& tensor) {
  if (tensor.device.type != DeviceType::kOther) return Status();
  if (tensor.dtype == DType::kNone) return ArgumentError(op, tensor.name, "be a tensor", "None");
  return ArgumentError(op, tensor.name, "be on the CPU or on a CUDA device", NameOf(tensor.device));
}

Status CheckMemory(const char* op, const TensorArg& tensor, const TensorArg& like) {
  if (tensor.device != like.device) {
    return ArgumentError(op, tensor.name,
                         "be on " + NameOf(like.device) + " (the device of " + like.name + ")",
                         NameOf(tensor.device));
  }
  if (tensor.data == nullptr && NumElements(tensor) > 0) {
    return ArgumentError(op, tensor.name, "have memory for all its elements",
                         "a storage that was freed or is too small for shape " + SizesOf(tensor));
  }
  const int64_t alignment = SizeOf(tensor);
  const auto misalignment = reinterpret_cast<uintptr_t>(tensor.data) % alignment;
  if (misalignment != 0) {
    return ArgumentError(op, tensor.name,
                         "begin at a multiple of " + std::to_string(alignment) +
                             " bytes (its dtype is " + NameOf(tensor.dtype) + ")",
                         "an address " + std::to_string(misalignment) + " past one");
  }
  return Status();
}

Status CheckDType(const char* op, const TensorArg& tensor, DType want) {
  if (tensor.dtype == want) return Status();
  return ArgumentError(op, tensor.name, std::string("be ") + NameOf(want), NameOf(tensor.dtype));
}

Status CheckSameDType(const char* op, const TensorArg& tensor, const TensorArg& like) {
  const bool both_other = tensor.dtype == DType::kOther && like.dtype == DType::kOther;
  if (both_other ? tensor.other_number == like.other_number : tensor.dtype == like.dtype) {
    return Status();
  }
  return ArgumentError(
      op, tensor.name,
      std::string("be ") + NameOf(like.dtype) + " (the dtype of " + like.name + ")",
      both_other ? "another such" : NameOf(tensor.dtype));
}

Status CheckDTypeIn(const char* op, const TensorArg& tensor, std::initializer_list<DType> want) {
  std::string names;
  for (const DType* dtype = want.begin(); dtype != want.end(); ++dtype) {
    if (tensor.dtype == *dtype) return Status();
    if (dtype != want.begin()) names += dtype + 1 == want.end() ? " or " : ", ";
    names += NameOf(*dtype);
  }
  return ArgumentError(op, tensor.name, "be " + names, NameOf(tensor.dtype));
}

Status CheckElementType(const char* op, const TensorArg& tensor, ElementType* element) {
  switch (tensor.dtype) {
    case DType::kFloat32:
      *element = ElementType::kFloat32;
      return Status();
    case DType::kFloat16:
      *element = ElementType::kFloat16;
      return Status();
    case DType::kBFloat16:
      *element = ElementType::kBFloat16;
      return Status();
    default: {
      const std::string got = NameOf(tensor.dtype);
      return ArgumentError(op, tensor.name, "be float32, float16 or bfloat16",
                           got + " (Unsupported input type of kv cache: " + got + ")");
    }
  }
}

Status CheckShape(const char* op, const TensorArg& tensor, std::initializer_list<Dim> want) {
  bool fits = tensor.dim == static_cast<int64_t>(want.size());
  const int64_t* size = tensor.sizes;
  for (const Dim* dim = want.begin(); fits && dim != want.end(); ++dim, ++size) {
    fits = dim->size == kAnySize || dim->size == *size;
  }
  if (fits) return Status();
  return ArgumentError(op, tensor.name, WantedShape(want), SizesOf(tensor));
}

Status CheckSizeAtLeast(const char* op, const TensorArg& tensor, int64_t dim, int64_t size,
                        const char* what) {
  if (tensor.size(dim) >= size) return Status();
  return ArgumentError(op, tensor.name, "have at least " + std::to_string(size) + " " + what,
                       "shape " + SizesOf(tensor));
}

Status CheckContiguousFrom(const char* op, const TensorArg& tensor, int64_t first) {
  if (NumElements(tensor) == 0) return Status();
  bool contiguous = true;
  int64_t stride = 1;
  for (int64_t i = tensor.dim - 1; i >= first; --i) {
    if (tensor.size(i) == 1) continue;
    contiguous &= tensor.stride(i) == stride;
    stride *= tensor.size(i);
  }
  if (contiguous) return Status();
  const std::string where = first == 0 ? "" : " from dimension " + std::to_string(first) + " on";
  return ArgumentError(op, tensor.name, "be contiguous" + where,
                       "strides " + StridesOf(tensor) + " for shape " + SizesOf(tensor));
}

Status CheckNoGaps(const char* op, const TensorArg& tensor) {
  const int64_t count = NumElements(tensor);
  if (count == 0) return Status();
  int64_t last = 0;
  for (int64_t i = 0; i < tensor.dim; ++i) last += (tensor.size(i) - 1) * tensor.stride(i);
  if (last == count - 1 && HasDistinctElements(tensor)) return Status();
  return ArgumentError(op, tensor.name, "be without gaps between its elements",
                       "strides " + StridesOf(tensor) + " for shape " + SizesOf(tensor));
}

Status CheckDistinctElements(const char* op, const TensorArg& tensor) {
  if (HasDistinctElements(tensor)) return Status();
  return ArgumentError(op, tensor.name, "have memory of its own for every element",
                       "strides " + StridesOf(tensor) + " for shape " + SizesOf(tensor));
}

Status CheckDisjoint(const char* op, const TensorArg& written, const TensorArg& other) {
  if (!MayOverlap(written, other)) return Status();
  return ArgumentError(op, written.name, std::string("share no memory with ") + other.name,
                       "overlapping address ranges");
}

Status CheckDisjoint(const char* op, const TensorArg& written,
                     std::initializer_list<const TensorArg*> others) {
  for (const TensorArg* other : others) {
    if (other != nullptr) STABLEKV_RETURN_IF_ERROR(CheckDisjoint(op, written, *other));
  }
  return Status();
}

Status CheckScale(const char* op, const TensorArg& scale, const TensorArg& like) {
  STABLEKV_RETURN_IF_ERROR(CheckDType(op, scale, DType::kFloat32));
  if (NumElements(scale) != 1) {
    return ArgumentError(op, scale.name, "have exactly one element", "shape " + SizesOf(scale));
  }
  return CheckMemory(op, scale, like);
}

Status CheckScratch(const char* op, const TensorArg& tensor, int64_t elements,
                    const char* formula) {
  if (NumElements(tensor) < elements) {
    return ArgumentError(
        op, tensor.name,
        std::string("have at least ") + formula + " = " + std::to_string(elements) + " elements",
        "shape " + SizesOf(tensor));
  }
  return CheckContiguousFrom(op, tensor, 0);
}

}  // namespace stablekv
