// swap_blocks on CUDA: a kernel within a device, the driver's copies to and from the CPU.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "csrc/kernels/cache/cuda/enqueue_copies.h"
#include "csrc/kernels/cache/swap_blocks.h"
#include "csrc/kernels/common/cuda/launch.h"

namespace stablekv {
namespace {

constexpr int kThreads = 256;    // of a CTA
constexpr int kUnroll = 4;       // accesses of a thread that are under way together
constexpr int kMaxCopies = 250;  // of a launch: 4 KiB of parameters, so that nothing is allocated

// Passed by value: a graph that captures the launch keeps the copies.
struct CopyArgs {
  struct Pair {
    const void* from;
    void* to;
  };
  int64_t units;   // of a block
  int64_t pieces;  // of a block: work of a CTA
  int32_t num_copies;
  Pair pairs[kMaxCopies];
};
static_assert(sizeof(CopyArgs) <= 4096, "the parameters of a kernel on every architecture");

template <typename Unit>
__global__ void __launch_bounds__(kThreads)
    CopyBlocksKernel(const __grid_constant__ CopyArgs args) {
  const int64_t work_items = args.num_copies * args.pieces;
  for (int64_t item = blockIdx.x; item < work_items; item += gridDim.x) {
    const int64_t copy = item / args.pieces;
    const int64_t first = (item - copy * args.pieces) * (kThreads * kUnroll) + threadIdx.x;
    const Unit* const from = static_cast<const Unit*>(args.pairs[copy].from);
    Unit* const to = static_cast<Unit*>(args.pairs[copy].to);
    Unit held[kUnroll];
#pragma unroll
    for (int i = 0; i < kUnroll; ++i) {
      const int64_t at = first + i * kThreads;
      if (at < args.units) held[i] = from[at];
    }
#pragma unroll
    for (int i = 0; i < kUnroll; ++i) {
      const int64_t at = first + i * kThreads;
      if (at < args.units) to[at] = held[i];
    }
  }
}

template <typename Unit>
Status CopyOnDevice(const std::vector<MemoryCopy>& copies, CudaStream stream) {
  CopyArgs args = {};
  args.units = copies[0].bytes / static_cast<int64_t>(sizeof(Unit));
  args.pieces = (args.units - 1) / (kThreads * kUnroll) + 1;
  for (size_t begin = 0; begin < copies.size(); begin += kMaxCopies) {
    args.num_copies = static_cast<int32_t>(std::min<size_t>(kMaxCopies, copies.size() - begin));
    for (int32_t i = 0; i < args.num_copies; ++i) {
      const MemoryCopy& copy = copies[begin + static_cast<size_t>(i)];
      args.pairs[i] = {copy.from, copy.to};
    }
    STABLEKV_RETURN_IF_ERROR(LaunchKernel<CopyArgs>("swap_blocks", CopyBlocksKernel<Unit>,
                                                    GridFor(args.num_copies * args.pieces),
                                                    dim3(kThreads), stream, args));
  }
  return Status();
}

}  // namespace

Status SwapBlocksCuda(const SwapBlocksParams& params, CudaStream stream) {
  const std::vector<MemoryCopy> copies = ListCopies(params);
  if (copies.empty()) return Status();
  const auto count = static_cast<int64_t>(copies.size());
  if (!params.src_on_cuda) {
    return EnqueueCopies(copies.data(), count, cudaMemcpyHostToDevice, stream);
  }
  if (!params.dst_on_cuda) {
    return EnqueueCopies(copies.data(), count, cudaMemcpyDeviceToHost, stream);
  }
  // A launch has no order among its blocks.
  if (!AreIndependent(copies)) {
    return EnqueueCopies(copies.data(), count, cudaMemcpyDeviceToDevice, stream);
  }
  const uintptr_t all = reinterpret_cast<uintptr_t>(params.src) |
                        reinterpret_cast<uintptr_t>(params.dst) |
                        static_cast<uintptr_t>(params.block_bytes);
  if (all % 16 == 0) return CopyOnDevice<uint4>(copies, stream);
  if (all % 4 == 0) return CopyOnDevice<uint32_t>(copies, stream);
  return CopyOnDevice<uint8_t>(copies, stream);
}

}  // namespace stablekv
