// Which GPUs this build holds code for.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_CUDA_BUILT_ARCHS_H_
#define STABLEKV_CSRC_KERNELS_COMMON_CUDA_BUILT_ARCHS_H_

namespace stablekv {

// "sm_80,sm_90a,compute_120": machine code by sm_, PTX by compute_, as nvcc names them.
const char* BuiltCudaArchs();

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_COMMON_CUDA_BUILT_ARCHS_H_
