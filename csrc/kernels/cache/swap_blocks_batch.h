// Copies between raw addresses, on the CPU and on CUDA devices, many at a time.
#ifndef STABLEKV_CSRC_KERNELS_CACHE_SWAP_BLOCKS_BATCH_H_
#define STABLEKV_CSRC_KERNELS_CACHE_SWAP_BLOCKS_BATCH_H_

#include <cstdint>
#include <vector>

#include "csrc/kernels/cache/memory_copies.h"
#include "csrc/kernels/common/cuda_stream.h"
#include "csrc/kernels/common/parallel.h"
#include "csrc/kernels/common/status.h"

namespace stablekv {

struct SwapBlocksBatchParams {
  std::vector<MemoryCopy> copies;  // in any order: none writes what another reads or writes
  bool src_access_order_any;       // sources may be read before earlier work of the stream is done
};

// All addresses are the CPU's.
Status SwapBlocksBatchCpu(const SwapBlocksBatchParams& params, ParallelFor parallel_for);

// Addresses are the CPU's or a device's. Asynchronous on `stream`, which belongs to the current
// device, but for memory of the CPU that is not pinned.
Status SwapBlocksBatchCuda(const SwapBlocksBatchParams& params, CudaStream stream);

// Sets the current CUDA device, or -1 where there is none at all. An error where there are devices
// that cannot be used, as in a child of a process that used one: addresses may be theirs.
Status FindCudaDevice(int32_t* device);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_CACHE_SWAP_BLOCKS_BATCH_H_
