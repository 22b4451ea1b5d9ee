// The argument `slot_mapping` of the operators that write a paged cache.
#ifndef STABLEKV_CSRC_OPS_SLOT_MAPPING_H_
#define STABLEKV_CSRC_OPS_SLOT_MAPPING_H_

#include "csrc/kernels/common/status.h"
#include "csrc/ops/tensor_arg.h"

namespace stablekv {

// A slot for every token: int64, one dimension, contiguous, on the device of `like`.
Status CheckSlotMapping(const char* op, const TensorArg& slot_mapping, const TensorArg& like);

// A token for every slot; more are allowed (padding of captured graphs), and not read.
Status CheckCoversSlots(const char* op, const TensorArg& tensor, const TensorArg& slot_mapping);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_OPS_SLOT_MAPPING_H_
