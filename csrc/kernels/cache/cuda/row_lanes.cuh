// Rows shared out among lanes: a power of two of neighbouring threads works on one row.
#ifndef STABLEKV_CSRC_KERNELS_CACHE_CUDA_ROW_LANES_CUH_
#define STABLEKV_CSRC_KERNELS_CACHE_CUDA_ROW_LANES_CUH_

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdint>

#include "csrc/kernels/common/cuda/launch.h"
#include "csrc/kernels/common/divide.h"

namespace stablekv {

constexpr int kRowThreads = 256;  // of a CTA

// The logarithm of the lanes for rows of `pieces` pieces of work: 1 to 32 lanes, none idle in the
// first round but the last few.
inline int LogLanesFor(int64_t pieces) { return std::min(CeilLog2(pieces), 5); }

// As many CTAs as give every row its lanes.
inline dim3 RowGrid(int64_t num_rows, int log_lanes) {
  const int64_t rows_per_cta = kRowThreads >> log_lanes;
  return GridFor(CeilDivide(num_rows, rows_per_cta));
}

// Calls `function(row)` for the rows of this thread; the lanes of a row are
// threadIdx.x % (1 << log_lanes).
template <typename Function>
__device__ __forceinline__ void ForEachRow(int64_t num_rows, int log_lanes, Function function) {
  const int64_t rows_per_cta = kRowThreads >> log_lanes;
  const int64_t step = rows_per_cta * gridDim.x;
  for (int64_t row = rows_per_cta * blockIdx.x + (threadIdx.x >> log_lanes); row < num_rows;
       row += step) {
    function(row);
  }
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_CACHE_CUDA_ROW_LANES_CUH_
