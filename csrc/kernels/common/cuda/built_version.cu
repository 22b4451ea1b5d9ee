#include "csrc/kernels/common/cuda/built_version.h"

namespace stablekv {

int BuiltCudaVersion() { return __CUDACC_VER_MAJOR__ * 1000 + __CUDACC_VER_MINOR__ * 10; }

}  // namespace stablekv
