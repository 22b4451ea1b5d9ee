// The decode kernels for caches of one number format, STABLEKV_FORMAT. Compiled once for each:
// together they would be one very long compile.
#include <string>

#include "csrc/kernels/attention/cuda/decode_args.h"
#include "csrc/kernels/attention/cuda/decode_kernel.cuh"
#include "csrc/kernels/common/cuda/launch.h"
#include "csrc/kernels/common/cuda/number_format.cuh"

namespace stablekv {
namespace {

template <typename Format, int kHeadSize, int kHeads>
Status Launch(const DecodeArgs& args, CudaStream stream) {
  return LaunchKernel<DecodeArgs>("paged_attention", DecodeKernel<Format, kHeadSize, kHeads>,
                                  GridFor(args.num_work_items), dim3(kDecodeThreads), stream, args);
}

// The smallest tile that has room for the heads.
template <typename Format, int kHeadSize>
Status LaunchForTile(const DecodeArgs& args, CudaStream stream) {
  constexpr int kX = 16 / static_cast<int>(sizeof(typename Format::Bits));
  if constexpr (kHeadSize % kX == 0) {
    if (args.heads_per_tile == 1) return Launch<Format, kHeadSize, 1>(args, stream);
    if (args.heads_per_tile <= 4) return Launch<Format, kHeadSize, 4>(args, stream);
    if constexpr (MaxHeadsPerTile(kHeadSize) == 8) {
      return Launch<Format, kHeadSize, 8>(args, stream);
    }
  }
  return Status::Error("paged attention on CUDA: head_size " + std::to_string(kHeadSize) +
                       " is no multiple of the " + std::to_string(kX) + " elements of a key chunk");
}

}  // namespace

template <typename Format>
Status LaunchDecode(const DecodeArgs& args, CudaStream stream) {
  switch (args.params.head_size) {
    case 32:
      return LaunchForTile<Format, 32>(args, stream);
    case 64:
      return LaunchForTile<Format, 64>(args, stream);
    case 80:
      return LaunchForTile<Format, 80>(args, stream);
    case 96:
      return LaunchForTile<Format, 96>(args, stream);
    case 112:
      return LaunchForTile<Format, 112>(args, stream);
    case 120:
      return LaunchForTile<Format, 120>(args, stream);
    case 128:
      return LaunchForTile<Format, 128>(args, stream);
    case 192:
      return LaunchForTile<Format, 192>(args, stream);
    case 256:
      return LaunchForTile<Format, 256>(args, stream);
    default:
      return Status::Error("paged attention on CUDA: no kernel for head_size " +
                           std::to_string(args.params.head_size));
  }
}

template Status LaunchDecode<STABLEKV_FORMAT>(const DecodeArgs&, CudaStream);

}  // namespace stablekv
