#include "csrc/ops/slot_mapping.h"

#include "csrc/ops/check.h"

namespace stablekv {

Status CheckSlotMapping(const char* op, const TensorArg& slot_mapping, const TensorArg& like) {
  STABLEKV_RETURN_IF_ERROR(CheckDType(op, slot_mapping, DType::kInt64));
  STABLEKV_RETURN_IF_ERROR(CheckMemory(op, slot_mapping, like));
  STABLEKV_RETURN_IF_ERROR(CheckShape(op, slot_mapping, {{"num_tokens", kAnySize}}));
  return CheckContiguousFrom(op, slot_mapping, 0);
}

Status CheckCoversSlots(const char* op, const TensorArg& tensor, const TensorArg& slot_mapping) {
  return CheckSizeAtLeast(op, tensor, 0, slot_mapping.size(0), "tokens (the size of slot_mapping)");
}

}  // namespace stablekv
