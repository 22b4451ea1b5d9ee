// The tensor-core decode kernels for caches of one number format, STABLEKV_FORMAT, in blocks of 8
// tokens of fp8 if STABLEKV_PAIRS is true, else in all others, and for tiles of query heads of
// STABLEKV_PRODUCTS products. Compiled once for each: together they would be one very long compile.
#include <atomic>
#include <cstdint>
#include <string>

#include "csrc/kernels/attention/cuda/mma/mma_args.h"
#include "csrc/kernels/attention/cuda/mma/mma_kernel.cuh"
#include "csrc/kernels/common/cuda/launch_config.h"
#include "csrc/kernels/common/cuda/number_format.cuh"

namespace stablekv {
namespace {

// Shared memory that no two CTAs can have where there are kSharedBytesOfClusters.
constexpr size_t kMoreThanHalf = 116 * 1024;

template <typename Format, int kHeadSize, bool kPairs, int kProducts>
Status Launch(const MmaDecodeArgs& args, CudaStream stream) {
  constexpr bool kWholeChunks = kHeadSize * sizeof(typename Format::Bits) % 16 == 0;
  if constexpr (kWholeChunks && (kProducts == 1 || HasWideTiles(kHeadSize))) {
    using Shape = MmaShape<Format, kHeadSize, kPairs, kProducts>;
    static KernelLimits limits;
    LaunchConfig config;
    const int64_t clusters = ((args.num_items - 1) >> args.plan.log_items_per_cta) + 1;
    config.grid = dim3(static_cast<unsigned>(clusters * args.plan.cluster_size));
    config.block = dim3(Shape::kThreads);
    constexpr size_t kOfCluster = sizeof(typename Shape::Shared) + sizeof(typename Shape::Handed);
    static_assert(kOfCluster <= kMoreThanHalf);
    config.shared_bytes = args.plan.alone              ? kMoreThanHalf
                          : args.plan.cluster_size > 1 ? kOfCluster
                                                       : sizeof(typename Shape::Shared);
    config.most_shared_bytes = kMoreThanHalf;
    config.cluster_size = args.plan.cluster_size;
    config.overlap_earlier = true;
    return LaunchKernel<MmaDecodeArgs>("paged_attention_mma", MmaDecodeKernel<Shape>, config,
                                       &limits, stream, args);
  }
  return Status::Error("paged attention on CUDA: head_size " + std::to_string(kHeadSize) +
                       " is no multiple of a key chunk, or has no wide tiles");
}

}  // namespace

template <typename Format, bool kPairs, int kProducts>
Status LaunchMmaDecode(const MmaDecodeArgs& args, CudaStream stream) {
  switch (args.params.head_size) {
    case 32:
      return Launch<Format, 32, kPairs, kProducts>(args, stream);
    case 64:
      return Launch<Format, 64, kPairs, kProducts>(args, stream);
    case 80:
      return Launch<Format, 80, kPairs, kProducts>(args, stream);
    case 96:
      return Launch<Format, 96, kPairs, kProducts>(args, stream);
    case 112:
      return Launch<Format, 112, kPairs, kProducts>(args, stream);
    case 120:
      return Launch<Format, 120, kPairs, kProducts>(args, stream);
    case 128:
      return Launch<Format, 128, kPairs, kProducts>(args, stream);
    case 192:
      return Launch<Format, 192, kPairs, kProducts>(args, stream);
    case 256:
      return Launch<Format, 256, kPairs, kProducts>(args, stream);
    default:
      return Status::Error("paged attention on CUDA: no kernel for head_size " +
                           std::to_string(args.params.head_size));
  }
}

template Status LaunchMmaDecode<STABLEKV_FORMAT, STABLEKV_PAIRS, STABLEKV_PRODUCTS>(
    const MmaDecodeArgs&, CudaStream);

}  // namespace stablekv
