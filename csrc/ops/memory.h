// Which memory a tensor covers: its size, and whether two tensors may share some.
#ifndef STABLEKV_CSRC_OPS_MEMORY_H_
#define STABLEKV_CSRC_OPS_MEMORY_H_

#include <cstdint>

#include "csrc/ops/tensor_arg.h"

namespace stablekv {

// Bytes of one element; 1 for those that are not known.
int64_t SizeOf(DType dtype);
int64_t SizeOf(const TensorArg& tensor);

// Whether a storage of `bytes` has all elements of a tensor that begins `offset` elements in it.
bool FitsInto(const TensorArg& tensor, int64_t offset, int64_t bytes);

// Elements, the product of the sizes, or INT64_MAX when it does not fit.
int64_t NumElements(const TensorArg& tensor);

// The product, or INT64_MAX when it does not fit. Both factors are >= 0.
int64_t SaturatingMultiply(int64_t a, int64_t b);

// The sum, or INT64_MAX when it does not fit. Both are >= 0.
int64_t SaturatingAdd(int64_t a, int64_t b);

// True when every element has memory of its own, whatever the order of the dimensions. False for
// expanded tensors, and for exotic interleavings that would take more than a sort to prove.
bool HasDistinctElements(const TensorArg& tensor);

// False when no byte belongs to both tensors: their address ranges are apart, or they are slices of
// one buffer, either of one shape, at any nested strides, or of two shapes that take turns in a
// dimension. True may be a false alarm.
bool MayOverlap(const TensorArg& a, const TensorArg& b);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_OPS_MEMORY_H_
