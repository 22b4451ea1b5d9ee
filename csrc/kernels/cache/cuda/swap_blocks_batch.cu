// swap_blocks_batch on CUDA: the driver's copy of a batch where it has one, copy by copy elsewhere.
#include <cuda.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "csrc/kernels/cache/cuda/enqueue_copies.h"
#include "csrc/kernels/cache/swap_blocks_batch.h"

namespace stablekv {
namespace {

// Drivers have hung on batches of 50,000.
constexpr size_t kMaxBatch = 8192;

// Of CUDA 12.8. The headers of 13.0 have another function of this name, and a driver may have none.
constexpr unsigned int kBatchVersion = 12080;
using CopyBatch = CUresult(CUDAAPI*)(CUdeviceptr* dsts, CUdeviceptr* srcs, size_t* sizes,
                                     size_t count, CUmemcpyAttributes* attributes,
                                     size_t* attribute_indices, size_t num_attributes,
                                     size_t* failed, CUstream stream);

CopyBatch FindCopyBatch() {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult result = cudaDriverEntryPointSymbolNotFound;
  const cudaError_t error = cudaGetDriverEntryPointByVersion(
      "cuMemcpyBatchAsync", &function, kBatchVersion, cudaEnableDefault, &result);
  if (error != cudaSuccess || result != cudaDriverEntryPointSuccess) {
    (void)cudaGetLastError();
    return nullptr;
  }
  return reinterpret_cast<CopyBatch>(function);
}

// The legacy default stream takes no batches, nor does a stream that is being captured.
bool TakesBatches(cudaStream_t stream) {
  if (stream == nullptr || stream == cudaStreamLegacy) return false;
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  if (cudaStreamIsCapturing(stream, &status) != cudaSuccess) {
    (void)cudaGetLastError();
    return false;
  }
  return status == cudaStreamCaptureStatusNone;
}

struct Batch {
  std::vector<CUdeviceptr> dsts;
  std::vector<CUdeviceptr> srcs;
  std::vector<size_t> sizes;

  void Fill(const MemoryCopy* copies, size_t count) {
    dsts.clear();
    srcs.clear();
    sizes.clear();
    for (size_t i = 0; i < count; ++i) {
      dsts.push_back(reinterpret_cast<CUdeviceptr>(copies[i].to));
      srcs.push_back(reinterpret_cast<CUdeviceptr>(copies[i].from));
      sizes.push_back(static_cast<size_t>(copies[i].bytes));
    }
  }
};

}  // namespace

Status FindCudaDevice(int32_t* device) {
  *device = -1;
  int count = 0;
  cudaError_t error = cudaGetDeviceCount(&count);
  const bool is_missing = error == cudaErrorNoDevice || error == cudaErrorInsufficientDriver ||
                          (error == cudaSuccess && count == 0);
  int current = -1;
  if (error == cudaSuccess && count > 0) error = cudaGetDevice(&current);
  if (error != cudaSuccess) (void)cudaGetLastError();
  if (is_missing) return Status();
  if (error != cudaSuccess) {
    return Status::Error(std::string("CUDA has no current device: ") + cudaGetErrorString(error));
  }
  *device = current;
  return Status();
}

Status SwapBlocksBatchCuda(const SwapBlocksBatchParams& params, CudaStream stream) {
  static const CopyBatch copy_batch = FindCopyBatch();
  const std::vector<MemoryCopy>& copies = params.copies;
  const bool batches = copy_batch != nullptr && TakesBatches(stream);
  CUmemcpyAttributes attributes = {};
  attributes.srcAccessOrder = params.src_access_order_any ? CU_MEMCPY_SRC_ACCESS_ORDER_ANY
                                                          : CU_MEMCPY_SRC_ACCESS_ORDER_STREAM;
  Batch batch;
  for (size_t begin = 0; begin < copies.size(); begin += kMaxBatch) {
    const size_t count = std::min(kMaxBatch, copies.size() - begin);
    if (batches) {
      batch.Fill(&copies[begin], count);
      size_t first_copy_of_attributes = 0;
      size_t failed = 0;
      const CUresult result =
          copy_batch(batch.dsts.data(), batch.srcs.data(), batch.sizes.data(), count, &attributes,
                     &first_copy_of_attributes, 1, &failed, stream);
      if (result == CUDA_SUCCESS) continue;
      // It refuses more than single copies do. What it may have begun is copied again: the copies
      // are independent of each other, so that this does no harm, and a copy that is at fault is
      // named below.
    }
    STABLEKV_RETURN_IF_ERROR(
        EnqueueCopies(&copies[begin], static_cast<int64_t>(count), cudaMemcpyDefault, stream));
  }
  return Status();
}

}  // namespace stablekv
