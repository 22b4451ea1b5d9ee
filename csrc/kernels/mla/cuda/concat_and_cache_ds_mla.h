// The part of concat_and_cache_mla on CUDA that writes "fp8_ds_mla" caches.
#ifndef STABLEKV_CSRC_KERNELS_MLA_CUDA_CONCAT_AND_CACHE_DS_MLA_H_
#define STABLEKV_CSRC_KERNELS_MLA_CUDA_CONCAT_AND_CACHE_DS_MLA_H_

#include "csrc/kernels/common/cuda_stream.h"
#include "csrc/kernels/common/status.h"
#include "csrc/kernels/mla/concat_and_cache_mla.h"

namespace stablekv {

// As ConcatAndCacheMlaCuda, for params.ds_mla and one token or more.
Status ConcatAndCacheDsMlaCuda(const ConcatAndCacheMlaParams& params, CudaStream stream);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_MLA_CUDA_CONCAT_AND_CACHE_DS_MLA_H_
