// Gathers tokens of a paged cache into rows, those of an fp8 cache as wider elements.
#ifndef STABLEKV_CSRC_KERNELS_CACHE_GATHER_DEQUANT_H_
#define STABLEKV_CSRC_KERNELS_CACHE_GATHER_DEQUANT_H_

#include <cstdint>

#include "csrc/kernels/cache/gather_rows.h"
#include "csrc/kernels/cache/paged_rows.h"
#include "csrc/kernels/common/cuda_stream.h"
#include "csrc/kernels/common/parallel.h"
#include "csrc/kernels/common/status.h"
#include "csrc/kernels/common/types.h"

namespace stablekv {

// With block b and offset o of row r:
//   to[r, i] = load(from[b, o, i]),  0 <= i < entry_size
// which copies the bits of a plain cache, and is the float32 product of an fp8 element and the
// scale, rounded once, with NaN as common/element_bits.h says. Strides are in elements of the
// tensor they belong to.
struct GatherDequantParams {
  PagedRows rows;
  const int32_t* token_to_seq;  // [num_rows]: the same as row_starts say; only its range is checked
  const void* from;             // [num_blocks, block_size, entry_size]
  void* to;                     // [num_rows, entry_size], `element`
  const float* scale;           // one value, in the memory of the backend; not read for kAuto
  int64_t entry_size;           // elements of a token
  int64_t block_stride;
  int64_t token_stride;
  int64_t row_stride;
  ElementType element;
  CacheType cache;
};

// Refuses starts, tables, block numbers and sequences of tokens that do not fit, before anything is
// written.
Status GatherDequantCpu(const GatherDequantParams& params, const RowStartsArg& starts,
                        ParallelFor parallel_for);

// Asynchronous on `stream`. Rows whose start, table or block number does not fit are skipped.
Status GatherDequantCuda(const GatherDequantParams& params, CudaStream stream);

// A plain cache's tokens are copied.
inline GatherRowsParams CopyOf(const GatherDequantParams& params) {
  const int64_t bytes = SizeOf(params.element);
  return {params.rows,
          {{params.from, params.to, params.block_stride * bytes, params.token_stride * bytes,
            params.row_stride * bytes, params.entry_size * bytes}},
          1};
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_CACHE_GATHER_DEQUANT_H_
