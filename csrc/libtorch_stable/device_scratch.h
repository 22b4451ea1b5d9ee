// Memory that a CUDA kernel asks for while an operator runs, from torch's allocator.
#ifndef STABLEKV_CSRC_LIBTORCH_STABLE_DEVICE_SCRATCH_H_
#define STABLEKV_CSRC_LIBTORCH_STABLE_DEVICE_SCRATCH_H_

#include <cstdint>
#include <optional>

#include "csrc/kernels/common/scratch_memory.h"
#include "csrc/libtorch_stable/tensor_arg.h"
#include "csrc/libtorch_stable/torch.h"

namespace stablekv {

// `bytes` bytes of a CUDA device for its current stream; nothing if torch has none to give.
std::optional<Tensor> DeviceBytes(int32_t device_index, int64_t bytes);

// What it gave may go when it does, at once after a launch: torch hands the memory of a stream to
// later work of that stream alone.
class DeviceScratch {
 public:
  explicit DeviceScratch(int32_t device_index) : device_index_(device_index) {}
  DeviceScratch(const DeviceScratch&) = delete;
  DeviceScratch& operator=(const DeviceScratch&) = delete;

  ScratchMemory memory() { return {&Allocate, this}; }

 private:
  static void* Allocate(int64_t bytes, void* context) {
    auto* const self = static_cast<DeviceScratch*>(context);
    self->bytes_ = DeviceBytes(self->device_index_, bytes);
    return self->bytes_.has_value() ? OutputArg("scratch", *self->bytes_).data : nullptr;
  }

  int32_t device_index_;
  std::optional<Tensor> bytes_;
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_LIBTORCH_STABLE_DEVICE_SCRATCH_H_
