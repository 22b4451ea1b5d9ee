// The tensor-core decode kernels for caches of one number format, STABLEKV_FORMAT. Compiled once
// for each: together they would be one very long compile.
#include <atomic>
#include <cstdint>
#include <string>

#include "csrc/kernels/attention/cuda/mma/mma_args.h"
#include "csrc/kernels/attention/cuda/mma/mma_kernel.cuh"
#include "csrc/kernels/common/cuda/launch_config.h"
#include "csrc/kernels/common/cuda/number_format.cuh"

namespace stablekv {
namespace {

template <typename Format, int kHeadSize>
Status Launch(const MmaDecodeArgs& args, CudaStream stream) {
  using Shape = MmaShape<Format, kHeadSize>;
  if constexpr (kHeadSize * Shape::kElementBytes % 16 == 0) {
    static KernelLimits limits;
    LaunchConfig config;
    const int64_t clusters =
        args.params.num_seqs * args.plan.num_splits * args.params.num_kv_heads * args.num_tiles;
    config.grid = dim3(static_cast<unsigned>(clusters * args.plan.cluster_size));
    config.block = dim3(Shape::kThreads);
    config.shared_bytes = sizeof(typename Shape::Shared);
    config.cluster_size = args.plan.cluster_size;
    config.overlap_earlier = true;
    return LaunchKernel<MmaDecodeArgs>("paged_attention_mma", MmaDecodeKernel<Format, kHeadSize>,
                                       config, &limits, stream, args);
  }
  return Status::Error("paged attention on CUDA: head_size " + std::to_string(kHeadSize) +
                       " is no multiple of a key chunk");
}

}  // namespace

template <typename Format>
Status LaunchMmaDecode(const MmaDecodeArgs& args, CudaStream stream) {
  switch (args.params.head_size) {
    case 32:
      return Launch<Format, 32>(args, stream);
    case 64:
      return Launch<Format, 64>(args, stream);
    case 80:
      return Launch<Format, 80>(args, stream);
    case 96:
      return Launch<Format, 96>(args, stream);
    case 112:
      return Launch<Format, 112>(args, stream);
    case 120:
      return Launch<Format, 120>(args, stream);
    case 128:
      return Launch<Format, 128>(args, stream);
    case 192:
      return Launch<Format, 192>(args, stream);
    case 256:
      return Launch<Format, 256>(args, stream);
    default:
      return Status::Error("paged attention on CUDA: no kernel for head_size " +
                           std::to_string(args.params.head_size));
  }
}

template Status LaunchMmaDecode<STABLEKV_FORMAT>(const MmaDecodeArgs&, CudaStream);

}  // namespace stablekv
