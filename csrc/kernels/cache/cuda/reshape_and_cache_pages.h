// The kernel of reshape_and_cache for 16-bit elements and aligned tensors.
#ifndef STABLEKV_CSRC_KERNELS_CACHE_CUDA_RESHAPE_AND_CACHE_PAGES_H_
#define STABLEKV_CSRC_KERNELS_CACHE_CUDA_RESHAPE_AND_CACHE_PAGES_H_

#include "csrc/kernels/cache/reshape_and_cache.h"

namespace stablekv {

// Whether LaunchPages takes `params`.
bool PagesCover(const ReshapeAndCacheParams& params);

Status LaunchPages(const ReshapeAndCacheParams& params, CudaStream stream);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_CACHE_CUDA_RESHAPE_AND_CACHE_PAGES_H_
