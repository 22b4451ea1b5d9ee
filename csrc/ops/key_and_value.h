// The arguments `key` and `value` of the operators that write a cache of both.
#ifndef STABLEKV_CSRC_OPS_KEY_AND_VALUE_H_
#define STABLEKV_CSRC_OPS_KEY_AND_VALUE_H_

#include "csrc/kernels/common/status.h"
#include "csrc/kernels/common/types.h"
#include "csrc/ops/tensor_arg.h"

namespace stablekv {

// [num_tokens, num_heads, head_size] of one dtype, in rows of contiguous elements, at least one
// head of at least one element; their numbers of tokens may differ.
Status CheckKeyAndValue(const char* op, const TensorArg& key, const TensorArg& value,
                        ElementType* element);

// The caches, which are written, have memory of their own for every element.
Status CheckWrittenCaches(const char* op, const TensorArg& key_cache, const TensorArg& value_cache,
                          const TensorArg& key, const TensorArg& value);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_OPS_KEY_AND_VALUE_H_
