// The decode kernels of one element and cache type, STABLEKV_ELEMENT and STABLEKV_CACHE. Compiled
// once for each pair: together they would be one very long compile.
#include <string>

#include "csrc/kernels/attention/cuda/decode_args.h"
#include "csrc/kernels/attention/cuda/decode_kernel.cuh"
#include "csrc/kernels/common/cuda/launch.h"

namespace stablekv {
namespace {

template <ElementType kElement, CacheType kCache, int kHeadSize, int kHeads>
Status Launch(const DecodeArgs& args, CudaStream stream) {
  return LaunchKernel<DecodeArgs>("paged_attention", DecodeKernel<kElement, kCache, kHeadSize, kHeads>,
                                  GridFor(args.num_work_items), dim3(kDecodeThreads), stream, args);
}

// The smallest tile that has room for the heads.
template <ElementType kElement, CacheType kCache, int kHeadSize>
Status LaunchForTile(const DecodeArgs& args, CudaStream stream) {
  constexpr int kX = static_cast<int>(16 / SizeOf(kCache, kElement));
  if constexpr (kHeadSize % kX == 0) {
    if (args.heads_per_tile == 1) return Launch<kElement, kCache, kHeadSize, 1>(args, stream);
    if (args.heads_per_tile <= 4) return Launch<kElement, kCache, kHeadSize, 4>(args, stream);
    if constexpr (MaxHeadsPerTile(kHeadSize) == 8) {
      return Launch<kElement, kCache, kHeadSize, 8>(args, stream);
    }
  }
  return Status::Error("paged attention on CUDA: head_size " + std::to_string(kHeadSize) +
                       " is no multiple of the " + std::to_string(kX) +
                       " elements of a key chunk");
}

}  // namespace

template <ElementType kElement, CacheType kCache>
Status LaunchDecode(const DecodeArgs& args, CudaStream stream) {
  switch (args.params.head_size) {
    case 32: return LaunchForTile<kElement, kCache, 32>(args, stream);
    case 64: return LaunchForTile<kElement, kCache, 64>(args, stream);
    case 80: return LaunchForTile<kElement, kCache, 80>(args, stream);
    case 96: return LaunchForTile<kElement, kCache, 96>(args, stream);
    case 112: return LaunchForTile<kElement, kCache, 112>(args, stream);
    case 120: return LaunchForTile<kElement, kCache, 120>(args, stream);
    case 128: return LaunchForTile<kElement, kCache, 128>(args, stream);
    case 192: return LaunchForTile<kElement, kCache, 192>(args, stream);
    case 256: return LaunchForTile<kElement, kCache, 256>(args, stream);
    default:
      return Status::Error("paged attention on CUDA: no kernel for head_size " +
                           std::to_string(args.params.head_size));
  }
}

template Status LaunchDecode<ElementType::STABLEKV_ELEMENT, CacheType::STABLEKV_CACHE>(
    const DecodeArgs&, CudaStream);

}  // namespace stablekv
