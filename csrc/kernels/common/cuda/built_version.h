// Which CUDA this build is compiled with.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_CUDA_BUILT_VERSION_H_
#define STABLEKV_CSRC_KERNELS_COMMON_CUDA_BUILT_VERSION_H_

namespace stablekv {

// "13.0". A driver has to speak as new a major version, and for PTX as new a minor one.
const char* BuiltCudaVersion();

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_COMMON_CUDA_BUILT_VERSION_H_
