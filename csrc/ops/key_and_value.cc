#include "csrc/ops/key_and_value.h"

#include "csrc/ops/check.h"
#include "csrc/ops/describe.h"

namespace stablekv {

Status CheckKeyAndValue(const char* op, const TensorArg& key, const TensorArg& value,
                        ElementType* element) {
  STABLEKV_RETURN_IF_ERROR(CheckElementType(op, key, element));
  STABLEKV_RETURN_IF_ERROR(CheckSameDType(op, value, key));
  STABLEKV_RETURN_IF_ERROR(CheckBackend(op, key));
  STABLEKV_RETURN_IF_ERROR(CheckMemory(op, key, key));
  STABLEKV_RETURN_IF_ERROR(CheckMemory(op, value, key));

  STABLEKV_RETURN_IF_ERROR(CheckShape(
      op, key, {{"num_tokens", kAnySize}, {"num_heads", kAnySize}, {"head_size", kAnySize}}));
  if (key.size(1) < 1 || key.size(2) < 1) {
    return ArgumentError(op, key.name, "have at least one head of at least one element",
                         "shape " + SizesOf(key));
  }
  STABLEKV_RETURN_IF_ERROR(CheckShape(
      op, value,
      {{"num_tokens", kAnySize}, {"num_heads", key.size(1)}, {"head_size", key.size(2)}}));
  STABLEKV_RETURN_IF_ERROR(CheckContiguousFrom(op, key, 2));
  return CheckContiguousFrom(op, value, 2);
}

Status CheckWrittenCaches(const char* op, const TensorArg& key_cache, const TensorArg& value_cache,
                          const TensorArg& key, const TensorArg& value) {
  STABLEKV_RETURN_IF_ERROR(CheckDistinctElements(op, key_cache));
  STABLEKV_RETURN_IF_ERROR(CheckDistinctElements(op, value_cache));
  STABLEKV_RETURN_IF_ERROR(CheckDisjoint(op, key_cache, value_cache));
  STABLEKV_RETURN_IF_ERROR(CheckDisjoint(op, key_cache, key));
  STABLEKV_RETURN_IF_ERROR(CheckDisjoint(op, key_cache, value));
  STABLEKV_RETURN_IF_ERROR(CheckDisjoint(op, value_cache, key));
  return CheckDisjoint(op, value_cache, value);
}

}  // namespace stablekv
