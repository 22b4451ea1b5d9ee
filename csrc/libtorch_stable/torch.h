// torch as the bindings see it: Tensor, StringArg, DeviceGuard. In what is shipped it is the stable
// ABI. Tests compile the same bindings once more, on ATen: csrc/libtorch_unstable/twin.
#ifndef STABLEKV_CSRC_LIBTORCH_STABLE_TORCH_H_
#define STABLEKV_CSRC_LIBTORCH_STABLE_TORCH_H_

#ifdef STABLEKV_ATEN_TWIN
#include "csrc/libtorch_unstable/twin/torch.h"
#else

#include <torch/csrc/stable/accelerator.h>

#include "csrc/libtorch_stable/string_arg.h"
#include "csrc/libtorch_stable/target_version.h"
#include "csrc/libtorch_stable/tensor.h"

namespace stablekv {

// Makes a CUDA device the current one, by its index, as long as it lives.
using DeviceGuard = torch::stable::accelerator::DeviceGuard;

}  // namespace stablekv

#endif  // STABLEKV_ATEN_TWIN
#endif  // STABLEKV_CSRC_LIBTORCH_STABLE_TORCH_H_
