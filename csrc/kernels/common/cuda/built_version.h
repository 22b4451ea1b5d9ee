// Which CUDA this build is compiled with.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_CUDA_BUILT_VERSION_H_
#define STABLEKV_CSRC_KERNELS_COMMON_CUDA_BUILT_VERSION_H_

namespace stablekv {

// 13000 for 13.0, as the runtime counts. A driver has to speak as new a major version, and for PTX
// as new a minor one.
int BuiltCudaVersion();

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_COMMON_CUDA_BUILT_VERSION_H_
