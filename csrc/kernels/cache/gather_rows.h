// Gathers tokens of a paged cache into rows, byte for byte.
#ifndef STABLEKV_CSRC_KERNELS_CACHE_GATHER_ROWS_H_
#define STABLEKV_CSRC_KERNELS_CACHE_GATHER_ROWS_H_

#include <cstdint>

#include "csrc/kernels/cache/paged_rows.h"
#include "csrc/kernels/common/cuda_stream.h"
#include "csrc/kernels/common/parallel.h"
#include "csrc/kernels/common/status.h"

namespace stablekv {

// A piece of every token that lies together. With block b and offset o of row r:
//   to[r * row_stride + i] = from[b * block_stride + o * token_stride + i],  0 <= i < bytes
// All strides are in bytes.
struct GatherPiece {
  const void* from;
  void* to;
  int64_t block_stride;
  int64_t token_stride;
  int64_t row_stride;
  int64_t bytes;
};

// Serves cp_gather_cache and plain caches of gather_and_maybe_dequant_cache, whose tokens are one
// piece, and cp_gather_indexer_k_quant_cache, whose blocks hold all keys before all scales:
//   element d of token o at b * block_stride + o * head_dim + d
//   scale g of token o   at b * block_stride + block_size * head_dim + (o * num_scales + g) * 4
struct GatherRowsParams {
  PagedRows rows;
  GatherPiece pieces[2];
  int64_t num_pieces;
};

// Refuses starts, tables and block numbers that do not fit, before anything is written.
Status GatherRowsCpu(const GatherRowsParams& params, const RowStartsArg& starts,
                     ParallelFor parallel_for);

// Asynchronous on `stream`. Rows whose start, table or block number does not fit are skipped.
Status GatherRowsCuda(const GatherRowsParams& params, CudaStream stream);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_CACHE_GATHER_ROWS_H_
