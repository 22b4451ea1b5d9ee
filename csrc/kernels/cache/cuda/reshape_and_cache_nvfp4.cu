// reshape_and_cache_flash into nvfp4 caches on CUDA.
#include <cuda_runtime_api.h>

#include <cstdint>
#include <cstring>
#include <string>

#include "csrc/kernels/cache/reshape_and_cache_nvfp4.h"
#include "csrc/kernels/common/cuda/launch.h"
#include "csrc/kernels/common/cuda/launch_config.h"
#include "csrc/kernels/common/cuda/overlap.cuh"
#include "csrc/kernels/common/slot_mapping.h"

namespace stablekv {
namespace {

constexpr int kCtaThreads = 256;

// A thread writes one group of one side at a time.
struct Nvfp4Args {
  ReshapeAndCacheNvfp4Params params;
  int64_t num_slots;
  int64_t num_groups;  // of each side, in all
  bool swizzle_values;
};

// 32 bytes by the widest loads that their address allows.
__device__ __forceinline__ void LoadGroup(const uint16_t* from, uint16_t* to) {
  if (reinterpret_cast<uintptr_t>(from) % 16 == 0) {
    const uint4 halves[2] = {reinterpret_cast<const uint4*>(from)[0],
                             reinterpret_cast<const uint4*>(from)[1]};
    memcpy(to, halves, sizeof(halves));
  } else {
    for (int64_t i = 0; i < kNvfp4Group; ++i) to[i] = from[i];
  }
}

__device__ __forceinline__ void StoreData(uint64_t data, uint8_t* to) {
  if (reinterpret_cast<uintptr_t>(to) % 8 == 0) {
    *reinterpret_cast<uint64_t*>(to) = data;
  } else {
    for (int i = 0; i < 8; ++i) to[i] = static_cast<uint8_t>(data >> (8 * i));
  }
}

__global__ void __launch_bounds__(kCtaThreads)
    ReshapeAndCacheNvfp4Kernel(const __grid_constant__ Nvfp4Args args) {
  WaitForEarlierKernels();
  LetNextKernelStart();
  const ReshapeAndCacheNvfp4Params& params = args.params;
  const int64_t groups = params.head_size / kNvfp4Group;
  const int64_t step = static_cast<int64_t>(gridDim.x) * kCtaThreads;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kCtaThreads + threadIdx.x;
       i < 2 * args.num_groups; i += step) {
    const bool is_value = i >= args.num_groups;
    const Nvfp4Side& side = is_value ? params.value : params.key;
    const int64_t of_side = is_value ? i - args.num_groups : i;
    const int64_t row = of_side / groups;
    const int64_t group = of_side - row * groups;
    const int64_t token = row / params.num_heads;
    const int64_t head = row - token * params.num_heads;
    const int64_t slot = params.slot_mapping[token];
    if (!IsSlot(slot, args.num_slots)) continue;
    const SlotPlace place = PlaceOfSlot(slot, params.block_size);

    uint16_t elements[kNvfp4Group];
    LoadGroup(side.source + Nvfp4SourceAt(side, token, head, group), elements);
    const Nvfp4Codes codes = EncodeNvfp4(elements, params.element, side.scale[0]);
    uint8_t* const page = side.cache + place.block * side.page_stride;
    StoreData(codes.data, page + Nvfp4DataAt(params, place.offset, head, group));
    const bool swizzled = is_value && args.swizzle_values;
    page[Nvfp4ScaleAt(params, place.offset, head, group, swizzled)] = codes.scale;
  }
}

Status CapabilityMajor(int* major) {
  int device = 0;
  cudaError_t error = cudaGetDevice(&device);
  if (error == cudaSuccess) {
    error = cudaDeviceGetAttribute(major, cudaDevAttrComputeCapabilityMajor, device);
  }
  if (error == cudaSuccess) return Status();
  (void)cudaGetLastError();
  return Status::Error(std::string("compute capability of the CUDA device: ") +
                       cudaGetErrorString(error));
}

}  // namespace

Status ReshapeAndCacheNvfp4Cuda(const ReshapeAndCacheNvfp4Params& params, CudaStream stream) {
  Nvfp4Args args = {};
  args.params = params;
  args.num_slots = params.num_blocks * params.block_size;
  args.num_groups = params.num_tokens * params.num_heads * (params.head_size / kNvfp4Group);
  if (args.num_groups == 0 || args.num_slots == 0) return Status();
  int major = 0;
  STABLEKV_RETURN_IF_ERROR(CapabilityMajor(&major));
  args.swizzle_values = major != 12;
  return LaunchOverlapping<Nvfp4Args>(
      "reshape_and_cache_nvfp4", ReshapeAndCacheNvfp4Kernel,
      GridFor((2 * args.num_groups + kCtaThreads - 1) / kCtaThreads), dim3(kCtaThreads), stream,
      args);
}

}  // namespace stablekv
