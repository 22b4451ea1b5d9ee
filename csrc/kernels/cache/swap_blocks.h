// Copies blocks of one cache to blocks of another, on one device or between the CPU and a device.
#ifndef STABLEKV_CSRC_KERNELS_CACHE_SWAP_BLOCKS_H_
#define STABLEKV_CSRC_KERNELS_CACHE_SWAP_BLOCKS_H_

#include <cstdint>
#include <vector>

#include "csrc/kernels/cache/memory_copies.h"
#include "csrc/kernels/common/cuda_stream.h"
#include "csrc/kernels/common/parallel.h"
#include "csrc/kernels/common/status.h"

namespace stablekv {

// For each i in order, with s = block_mapping[i, 0] and d = block_mapping[i, 1]:
//   dst[d * block_bytes + k] = src[s * block_bytes + k],  0 <= k < block_bytes
// A later row sees what an earlier one wrote. All blocks lie within `src` and `dst`, and the two of
// a row are apart or the same.
struct SwapBlocksParams {
  const void* src;
  void* dst;
  int64_t block_bytes;
  const int64_t* block_mapping;  // [num_copies, 2] source and destination blocks, on the CPU
  int64_t num_copies;
  int64_t mapping_row_stride;     // elements
  int64_t mapping_column_stride;  // elements
  bool src_on_cuda;
  bool dst_on_cuda;
};

// The copies that the mapping asks for, without those of a block to itself.
std::vector<MemoryCopy> ListCopies(const SwapBlocksParams& params);

// Both sides are on the CPU.
Status SwapBlocksCpu(const SwapBlocksParams& params, ParallelFor parallel_for);

// One side or both are on CUDA. Asynchronous on `stream`, but for memory of the CPU that is not
// pinned.
Status SwapBlocksCuda(const SwapBlocksParams& params, CudaStream stream);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_CACHE_SWAP_BLOCKS_H_
