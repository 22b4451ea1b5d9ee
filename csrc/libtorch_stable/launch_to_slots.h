// From checked parameters to a kernel that writes tokens to slots.
#ifndef STABLEKV_CSRC_LIBTORCH_STABLE_LAUNCH_TO_SLOTS_H_
#define STABLEKV_CSRC_LIBTORCH_STABLE_LAUNCH_TO_SLOTS_H_

#include "csrc/libtorch_stable/checked_mode.h"
#include "csrc/libtorch_stable/launch.h"

namespace stablekv {

// Runs `cpu(params, parallel_for)` or `cuda(params, stream)` for operator `op`, whose slots are all
// that checked mode has to look at. `cuda` is a generic lambda, as for Launch.
template <typename Params, typename Cuda>
void LaunchToSlots(const char* op, const Device& device, const Params& params,
                   Status (*cpu)(const Params&, ParallelFor), const Cuda& cuda) {
  if (params.num_tokens == 0) return;
  Launch(
      op, device, [&](ParallelFor parallel_for) { return cpu(params, parallel_for); },
      [&](auto stream) {
        STABLEKV_RETURN_IF_ERROR(CheckSlotsInCheckedMode(params, stream));
        return cuda(params, stream);
      });
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_LIBTORCH_STABLE_LAUNCH_TO_SLOTS_H_
