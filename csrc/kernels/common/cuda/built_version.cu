#include "csrc/kernels/common/cuda/built_version.h"

#define STABLEKV_TEXT_OF_TOKENS(tokens) #tokens
#define STABLEKV_TEXT(tokens) STABLEKV_TEXT_OF_TOKENS(tokens)

namespace stablekv {

const char* BuiltCudaVersion() {
  return STABLEKV_TEXT(__CUDACC_VER_MAJOR__) "." STABLEKV_TEXT(__CUDACC_VER_MINOR__);
}

}  // namespace stablekv
