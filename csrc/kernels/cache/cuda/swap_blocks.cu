// swap_blocks on CUDA: a kernel within a device and for many small copies to and from pinned
// memory, the driver's copies for the rest.
#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "csrc/kernels/cache/cuda/enqueue_copies.h"
#include "csrc/kernels/cache/swap_blocks.h"
#include "csrc/kernels/common/cuda/launch.h"
#include "csrc/kernels/common/cuda/launch_config.h"
#include "csrc/kernels/common/cuda/overlap.cuh"
#include "csrc/kernels/common/mapped_memory.h"

namespace stablekv {
namespace {

constexpr int kThreads = 256;  // of a CTA
constexpr int kUnroll = 4;     // accesses of a thread that are under way together
// Of a launch. They are its parameters, so that nothing is allocated: 4 KiB, or 32 where there are
// many.
constexpr int kFewCopies = 250;
constexpr int kManyCopies = 2000;
// Of a copy between the CPU and a device. A copy of the driver takes 3.5 us, in which the bus moves
// 190 KB.
constexpr int64_t kDriverBytes = 192 * 1024;
constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();
constexpr int64_t kBusCtas = 16;  // 8 fill the bus of an H100; the device is left to others

// Passed by value: a graph that captures the launch keeps the copies.
template <int kMaxCopies>
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
static_assert(sizeof(CopyArgs<kFewCopies>) <= 4096, "what costs the host little");
static_assert(sizeof(CopyArgs<kManyCopies>) <= 32764, "the parameters of a kernel");

template <typename Unit, int kMaxCopies>
__global__ void __launch_bounds__(kThreads)
    CopyBlocksKernel(const __grid_constant__ CopyArgs<kMaxCopies> args) {
  WaitForEarlierKernels();
  LetNextKernelStart();
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

template <typename Unit, int kMaxCopies>
Status Launch(const std::vector<MemoryCopy>& copies, int64_t max_ctas, CudaStream stream) {
  CopyArgs<kMaxCopies> args;
  args.units = copies[0].bytes / static_cast<int64_t>(sizeof(Unit));
  args.pieces = (args.units - 1) / (kThreads * kUnroll) + 1;
  for (size_t begin = 0; begin < copies.size(); begin += kMaxCopies) {
    args.num_copies = static_cast<int32_t>(std::min<size_t>(kMaxCopies, copies.size() - begin));
    for (int32_t i = 0; i < args.num_copies; ++i) {
      const MemoryCopy& copy = copies[begin + static_cast<size_t>(i)];
      args.pairs[i] = {copy.from, copy.to};
    }
    const int64_t ctas = std::min(args.num_copies * args.pieces, max_ctas);
    STABLEKV_RETURN_IF_ERROR(
        LaunchOverlapping<CopyArgs<kMaxCopies>>("swap_blocks", CopyBlocksKernel<Unit, kMaxCopies>,
                                                GridFor(ctas), dim3(kThreads), stream, args));
  }
  return Status();
}

template <typename Unit>
Status CopyByUnits(const std::vector<MemoryCopy>& copies, int64_t max_ctas, CudaStream stream) {
  return copies.size() <= kFewCopies ? Launch<Unit, kFewCopies>(copies, max_ctas, stream)
                                     : Launch<Unit, kManyCopies>(copies, max_ctas, stream);
}

// By the largest unit that fits all addresses and the size.
Status CopyByKernel(const std::vector<MemoryCopy>& copies, int64_t max_ctas, CudaStream stream) {
  auto all = static_cast<uintptr_t>(copies[0].bytes);
  for (const MemoryCopy& copy : copies) {
    all |= reinterpret_cast<uintptr_t>(copy.from) | reinterpret_cast<uintptr_t>(copy.to);
  }
  if (all % 16 == 0) return CopyByUnits<uint4>(copies, max_ctas, stream);
  if (all % 4 == 0) return CopyByUnits<uint32_t>(copies, max_ctas, stream);
  return CopyByUnits<uint8_t>(copies, max_ctas, stream);
}

// Copies that are worth a call of the driver each, once those that continue each other are one.
bool AreLarge(const std::vector<MemoryCopy>& copies) {
  int64_t runs = 1;
  for (size_t i = 1; i < copies.size(); ++i) runs += !Continues(copies[i - 1], copies[i]);
  return static_cast<int64_t>(copies.size()) * copies[0].bytes >= runs * kDriverBytes;
}

// Gives the copies the addresses that the device has for the CPU's memory; none if that is not
// pinned.
Status MapHostSide(bool to_host, std::vector<MemoryCopy>* copies, bool* mapped) {
  const auto host = [&](const MemoryCopy& copy) { return to_host ? copy.to : copy.from; };
  const uint8_t* first = host((*copies)[0]);
  const uint8_t* last = first;
  for (const MemoryCopy& copy : *copies) {
    first = std::min<const uint8_t*>(first, host(copy));
    last = std::max<const uint8_t*>(last, host(copy));
  }
  void* address = nullptr;
  STABLEKV_RETURN_IF_ERROR(
      DeviceAddressOfRange(first, last - first + (*copies)[0].bytes, &address));
  *mapped = address != nullptr;
  if (!*mapped) return Status();
  for (MemoryCopy& copy : *copies) {
    if (to_host) {
      copy.to = static_cast<uint8_t*>(address) + (copy.to - first);
    } else {
      copy.from = static_cast<const uint8_t*>(address) + (copy.from - first);
    }
  }
  return Status();
}

}  // namespace

Status SwapBlocksCuda(const SwapBlocksParams& params, CudaStream stream) {
  std::vector<MemoryCopy> copies = ListCopies(params);
  if (copies.empty()) return Status();
  const bool on_device = params.src_on_cuda && params.dst_on_cuda;
  const cudaMemcpyKind kind = on_device            ? cudaMemcpyDeviceToDevice
                              : params.dst_on_cuda ? cudaMemcpyHostToDevice
                                                   : cudaMemcpyDeviceToHost;
  // A launch has no order among its blocks.
  bool by_kernel = (on_device || !AreLarge(copies)) && AreIndependent(copies);
  if (by_kernel && !on_device) {
    STABLEKV_RETURN_IF_ERROR(MapHostSide(!params.dst_on_cuda, &copies, &by_kernel));
  }
  if (!by_kernel) {
    return EnqueueCopies(copies.data(), static_cast<int64_t>(copies.size()), kind, stream);
  }
  return CopyByKernel(copies, on_device ? kNoLimit : kBusCtas, stream);
}

}  // namespace stablekv
