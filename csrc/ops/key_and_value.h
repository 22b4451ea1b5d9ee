// The arguments of the operators that write a cache of keys and one of values.
#ifndef STABLEKV_CSRC_OPS_KEY_AND_VALUE_H_
#define STABLEKV_CSRC_OPS_KEY_AND_VALUE_H_

#include <string_view>

#include "csrc/kernels/common/status.h"
#include "csrc/kernels/common/types.h"
#include "csrc/ops/tensor_arg.h"

namespace stablekv {

// One schema: reshape_and_cache and reshape_and_cache_flash differ in the shapes of their caches.
struct KeyAndValueArgs {
  TensorArg key;           // [>= num_tokens, num_heads, head_size]
  TensorArg value;         // [>= num_tokens, num_heads, head_size]
  TensorArg key_cache;     // written
  TensorArg value_cache;   // written
  TensorArg slot_mapping;  // [num_tokens], int64
  std::string_view kv_cache_dtype;
  TensorArg k_scale;  // float32
  TensorArg v_scale;  // float32
};

// [num_tokens, num_heads, head_size] of one dtype, in rows of contiguous elements, at least one
// head of at least one element; their numbers of tokens may differ.
Status CheckKeyAndValue(const char* op, const TensorArg& key, const TensorArg& value,
                        ElementType* element);

// A slot for every token and a key and a value for every slot, and caches, which are written, that
// have memory of their own for every element. For args whose tensors are checked one by one.
Status CheckWrites(const char* op, const KeyAndValueArgs& args);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_OPS_KEY_AND_VALUE_H_
