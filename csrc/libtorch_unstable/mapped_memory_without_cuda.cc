// A file of its own, so that the library needs the same of torch with CUDA and without: the
// compiler does not see that what follows a call of this never runs.
#include "csrc/kernels/common/mapped_memory.h"

namespace stablekv {

Status DeviceAddressOfRange(const void* /*host*/, int64_t /*bytes*/, void** /*address*/) {
  return Status::Error("this build of stablekv is without CUDA");
}

}  // namespace stablekv
