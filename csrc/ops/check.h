// Checks of an operator's arguments. A failed check names the operator, the argument, what was
// wanted and what came; a passed one costs a few nanoseconds and allocates nothing.
#ifndef STABLEKV_CSRC_OPS_CHECK_H_
#define STABLEKV_CSRC_OPS_CHECK_H_

#include <cstdint>
#include <initializer_list>
#include <string>

#include "csrc/kernels/common/status.h"
#include "csrc/kernels/common/types.h"
#include "csrc/ops/tensor_arg.h"

namespace stablekv {

// "<op>: <argument> must <wanted>, got <got>".
Status ArgumentError(const char* op, const char* argument, const std::string& wanted,
                     const std::string& got);

// The same for an integer argument.
Status ArgumentError(const char* op, const char* argument, const std::string& wanted, int64_t got);

// The tensor is on the CPU or on a CUDA device.
Status CheckBackend(const char* op, const TensorArg& tensor);

// The tensor is on the device of `like`, its memory is there, and aligned to its elements.
Status CheckMemory(const char* op, const TensorArg& tensor, const TensorArg& like);

Status CheckDType(const char* op, const TensorArg& tensor, DType want);
Status CheckSameDType(const char* op, const TensorArg& tensor, const TensorArg& like);
Status CheckDTypeIn(const char* op, const TensorArg& tensor, std::initializer_list<DType> want);

// The tensor has one of the dtypes of queries, keys and values.
Status CheckElementType(const char* op, const TensorArg& tensor, ElementType* element);

// A dimension of a wanted shape: its name in messages, and its size.
struct Dim {
  const char* name;
  int64_t size;
};
inline constexpr int64_t kAnySize = -1;

Status CheckShape(const char* op, const TensorArg& tensor, std::initializer_list<Dim> want);

// Dimension `dim` is of size `size` or more; `what` says of what: "rows (num_tokens)".
Status CheckSizeAtLeast(const char* op, const TensorArg& tensor, int64_t dim, int64_t size,
                        const char* what);

// Dimensions [first, dim) are laid out without gaps, in order. Strides of dimensions of size 1, and
// of tensors without elements, do not matter.
Status CheckContiguousFrom(const char* op, const TensorArg& tensor, int64_t first);

// The elements fill the memory from the first to the last one, each once, whatever the order of the
// dimensions.
Status CheckNoGaps(const char* op, const TensorArg& tensor);

// No two elements of a tensor that is written to share memory.
Status CheckDistinctElements(const char* op, const TensorArg& tensor);

// A tensor that is written to shares no memory with another one. Of those that are read, all count:
// indices are checked, and then read again while the call writes.
Status CheckDisjoint(const char* op, const TensorArg& written, const TensorArg& other);

// The same for several others, of which some may be null.
Status CheckDisjoint(const char* op, const TensorArg& written,
                     std::initializer_list<const TensorArg*> others);

// A per-tensor scale: float32, one element, of any rank.
Status CheckScale(const char* op, const TensorArg& scale, const TensorArg& like);

// A contiguous tensor of any rank, of `elements` or more.
Status CheckScratch(const char* op, const TensorArg& tensor, int64_t elements, const char* formula);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_OPS_CHECK_H_
