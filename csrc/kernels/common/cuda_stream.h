// The type of a CUDA stream, for headers that must not include CUDA's own.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_CUDA_STREAM_H_
#define STABLEKV_CSRC_KERNELS_COMMON_CUDA_STREAM_H_

struct CUstream_st;

namespace stablekv {

using CudaStream = CUstream_st*;  // the same type as cudaStream_t

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_COMMON_CUDA_STREAM_H_
