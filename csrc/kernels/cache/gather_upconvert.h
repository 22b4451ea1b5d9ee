// Gathers tokens of an fp8_ds_mla cache into rows of bfloat16.
#ifndef STABLEKV_CSRC_KERNELS_CACHE_GATHER_UPCONVERT_H_
#define STABLEKV_CSRC_KERNELS_CACHE_GATHER_UPCONVERT_H_

#include <cstdint>

#include "csrc/kernels/cache/paged_rows.h"
#include "csrc/kernels/common/cuda_stream.h"
#include "csrc/kernels/common/parallel.h"
#include "csrc/kernels/common/status.h"

namespace stablekv {

// With the 656 bytes of block b and offset o of row r, as mla/ds_mla_layout.h has them,
//   token = from + b * block_stride + o * token_stride
//   to[r, d]       = bf16(e4m3(token[d]) * scale[d / 128]),  0 <= d < 512
//   to[r, 512 + d] = the bits of rope element d,              0 <= d < 64
// a float32 product rounded once; NaN as common/element_bits.h says.
struct GatherUpconvertParams {
  PagedRows rows;
  const void* from;      // [num_blocks, block_size, 656] bytes
  void* to;              // [num_rows, 576], bfloat16
  int64_t block_stride;  // bytes
  int64_t token_stride;  // bytes
  int64_t row_stride;    // elements
};

// Refuses starts, tables and block numbers that do not fit, before anything is written.
Status GatherUpconvertCpu(const GatherUpconvertParams& params, const RowStartsArg& starts,
                          ParallelFor parallel_for);

// Asynchronous on `stream`. Rows whose start, table or block number does not fit are skipped.
Status GatherUpconvertCuda(const GatherUpconvertParams& params, CudaStream stream);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_CACHE_GATHER_UPCONVERT_H_
