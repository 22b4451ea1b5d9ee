// Converts a whole cache to fp8, or back.
#ifndef STABLEKV_CSRC_KERNELS_CACHE_CONVERT_FP8_H_
#define STABLEKV_CSRC_KERNELS_CACHE_CONVERT_FP8_H_

#include <cstdint>

#include "csrc/kernels/common/cuda_stream.h"
#include "csrc/kernels/common/parallel.h"
#include "csrc/kernels/common/status.h"
#include "csrc/kernels/common/types.h"

namespace stablekv {

// In the order of memory, which is the same on both sides:
//   to_fp8:   fp8[i] = fp8(elements[i] / scale)
//   or else:  elements[i] = fp8[i] * scale, a float32 product that is rounded once, with NaN as
//             common/element_bits.h says
struct ConvertFp8Params {
  void* elements;  // [count], `element`; written unless to_fp8
  void* fp8;       // [count] bytes; written if to_fp8
  int64_t count;
  float scale;
  ElementType element;
  CacheType cache;  // not kAuto
  bool to_fp8;
};

Status ConvertFp8Cpu(const ConvertFp8Params& params, ParallelFor parallel_for);

// Asynchronous on `stream`.
Status ConvertFp8Cuda(const ConvertFp8Params& params, CudaStream stream);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_CACHE_CONVERT_FP8_H_
