// How operators are registered: by the stable ABI or, in the tests' twin, as ever.
#ifndef STABLEKV_CSRC_LIBTORCH_STABLE_LIBRARY_H_
#define STABLEKV_CSRC_LIBTORCH_STABLE_LIBRARY_H_

#ifdef STABLEKV_ATEN_TWIN
#include "csrc/libtorch_unstable/twin/library.h"
#else

#include <torch/csrc/stable/library.h>

#include "csrc/libtorch_stable/boxed.h"
#include "csrc/libtorch_stable/target_version.h"

#define STABLEKV_LIBRARY_FRAGMENT STABLE_TORCH_LIBRARY_FRAGMENT
#define STABLEKV_LIBRARY_IMPL STABLE_TORCH_LIBRARY_IMPL
// A function of the types of torch.h, as impl() takes it.
#define STABLEKV_KERNEL(function) (&::stablekv::Boxed<(function)>::Call)

namespace stablekv {

using Library = torch::stable::detail::StableLibrary;

}  // namespace stablekv

#endif  // STABLEKV_ATEN_TWIN
#endif  // STABLEKV_CSRC_LIBTORCH_STABLE_LIBRARY_H_
