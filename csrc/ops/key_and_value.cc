#include "csrc/ops/key_and_value.h"

#include "csrc/ops/check.h"
#include "csrc/ops/describe.h"
#include "csrc/ops/slot_mapping.h"

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

Status CheckWrites(const char* op, const KeyAndValueArgs& args) {
  STABLEKV_RETURN_IF_ERROR(CheckSlotMapping(op, args.slot_mapping, args.key));
  STABLEKV_RETURN_IF_ERROR(CheckCoversSlots(op, args.key, args.slot_mapping));
  STABLEKV_RETURN_IF_ERROR(CheckCoversSlots(op, args.value, args.slot_mapping));

  STABLEKV_RETURN_IF_ERROR(CheckDistinctElements(op, args.key_cache));
  STABLEKV_RETURN_IF_ERROR(CheckDistinctElements(op, args.value_cache));
  STABLEKV_RETURN_IF_ERROR(CheckDisjoint(op, args.key_cache, args.value_cache));
  for (const TensorArg* cache : {&args.key_cache, &args.value_cache}) {
    STABLEKV_RETURN_IF_ERROR(CheckDisjoint(
        op, *cache, {&args.key, &args.value, &args.slot_mapping, &args.k_scale, &args.v_scale}));
  }
  return Status();
}

}  // namespace stablekv
