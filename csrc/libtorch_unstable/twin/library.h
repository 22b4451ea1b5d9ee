// How operators are registered since ever: what csrc/libtorch_stable/library.h is in the twin.
#ifndef STABLEKV_CSRC_LIBTORCH_UNSTABLE_TWIN_LIBRARY_H_
#define STABLEKV_CSRC_LIBTORCH_UNSTABLE_TWIN_LIBRARY_H_

#include <torch/library.h>

#define STABLEKV_LIBRARY_FRAGMENT TORCH_LIBRARY_FRAGMENT
#define STABLEKV_LIBRARY_IMPL TORCH_LIBRARY_IMPL
// torch makes its own adapter of a function's types.
#define STABLEKV_KERNEL(function) (function)

namespace stablekv {

using Library = torch::Library;

}  // namespace stablekv

#endif  // STABLEKV_CSRC_LIBTORCH_UNSTABLE_TWIN_LIBRARY_H_
