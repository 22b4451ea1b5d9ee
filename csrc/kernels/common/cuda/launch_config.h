// Launching a CUDA kernel that needs more than a grid: much shared memory, clusters, overlap.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_CUDA_LAUNCH_CONFIG_H_
#define STABLEKV_CSRC_KERNELS_COMMON_CUDA_LAUNCH_CONFIG_H_

#include <cuda_runtime_api.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "csrc/kernels/common/cuda/code_arch.h"
#include "csrc/kernels/common/cuda/launch_error.h"
#include "csrc/kernels/common/status.h"

namespace stablekv {

// A launch that needs more than a grid.
struct LaunchConfig {
  dim3 grid;
  dim3 block;
  size_t shared_bytes = 0;  // dynamic shared memory of a CTA
  // That other launches of the kernel may have, as far as the device does; 0: no more.
  size_t most_shared_bytes = 0;
  int cluster_size = 1;  // CTAs; divides grid.x
  // The kernel may start while earlier ones of the stream run: it waits for their end by itself
  // (griddepcontrol.wait). Ignored for code of architectures before sm_90, which cannot wait.
  bool overlap_earlier = false;
};

// The devices on which a kernel has been allowed what it needs. One for each kernel, `static`.
using KernelLimits = std::atomic<uint64_t>;

// Lets `kernel` have much shared memory and large clusters on the current device. Once a device is
// enough; beyond 64 devices it is done every time.
inline cudaError_t RaiseLimits(const void* kernel, const LaunchConfig& config,
                               KernelLimits* limits) {
  int device = 0;
  cudaError_t error = cudaGetDevice(&device);
  if (error != cudaSuccess) return error;
  const uint64_t bit = device < 64 ? uint64_t{1} << device : 0;
  if ((limits->load(std::memory_order_relaxed) & bit) != 0) return cudaSuccess;
  int most = 0;
  error = cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
  if (error != cudaSuccess) return error;
  const size_t limit =
      std::max(config.shared_bytes, std::min(config.most_shared_bytes, static_cast<size_t>(most)));
  error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(limit));
  if (error != cudaSuccess) return error;
  if (CodeArch() >= 90) {
    error = cudaFuncSetAttribute(kernel, cudaFuncAttributeNonPortableClusterSizeAllowed, 1);
  }
  if (error == cudaSuccess) limits->fetch_or(bit, std::memory_order_relaxed);
  return error;
}

// Launches `kernel` on `stream` as `config` says. The error, if any, is that of this launch alone.
template <typename... Params>
Status LaunchKernel(const char* name, void (*kernel)(Params...), const LaunchConfig& config,
                    KernelLimits* limits, cudaStream_t stream, Params... params) {
  void* pointers[] = {static_cast<void*>(&params)...};
  const void* const function = reinterpret_cast<const void*>(kernel);
  cudaError_t error = RaiseLimits(function, config, limits);
  if (error == cudaSuccess) {
    cudaLaunchAttribute attributes[2];
    cudaLaunchConfig_t launch = {};
    launch.gridDim = config.grid;
    launch.blockDim = config.block;
    launch.dynamicSmemBytes = config.shared_bytes;
    launch.stream = stream;
    launch.attrs = attributes;
    if (config.cluster_size > 1) {
      attributes[launch.numAttrs].id = cudaLaunchAttributeClusterDimension;
      attributes[launch.numAttrs].val.clusterDim = {static_cast<unsigned>(config.cluster_size), 1,
                                                    1};
      ++launch.numAttrs;
    }
    if (config.overlap_earlier && CodeArch() >= 90) {
      attributes[launch.numAttrs].id = cudaLaunchAttributeProgrammaticStreamSerialization;
      attributes[launch.numAttrs].val.programmaticStreamSerializationAllowed = 1;
      ++launch.numAttrs;
    }
    error = cudaLaunchKernelExC(&launch, function, pointers);
  }
  if (error == cudaSuccess) return Status();
  return LaunchError(name, error);
}

// Launches `kernel` so that it may start while earlier ones of the stream run: it begins with
// WaitForEarlierKernels(). Saves the microsecond that a start takes where work is short. Code of
// architectures before sm_90 cannot wait and does not start early.
template <typename... Params>
Status LaunchOverlapping(const char* name, void (*kernel)(Params...), dim3 grid, dim3 block,
                         cudaStream_t stream, const Params&... params) {
  void* pointers[] = {const_cast<void*>(static_cast<const void*>(&params))...};
  cudaLaunchAttribute attribute;
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t launch = {};
  launch.gridDim = grid;
  launch.blockDim = block;
  launch.stream = stream;
  launch.attrs = &attribute;
  launch.numAttrs = CodeArch() >= 90 ? 1 : 0;
  const cudaError_t error =
      cudaLaunchKernelExC(&launch, reinterpret_cast<const void*>(kernel), pointers);
  if (error == cudaSuccess) return Status();
  return LaunchError(name, error);
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_COMMON_CUDA_LAUNCH_CONFIG_H_
