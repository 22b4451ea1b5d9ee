#include "csrc/ops/swap_blocks.h"

#include "csrc/libtorch_stable/launch.h"
#include "csrc/libtorch_stable/ops.h"
#include "csrc/libtorch_stable/tensor_arg.h"

namespace stablekv {

void SwapBlocks(const Tensor& src, const Tensor& dst, int64_t block_size_in_bytes,
                const Tensor& block_mapping) {
  // First: it moves memory that is shared copy-on-write, and src may be the same tensor.
  const TensorArg dst_arg = OutputArg("dst", dst);
  const SwapBlocksArgs args{
      InputArg("src", src),
      dst_arg,
      block_size_in_bytes,
      InputArg("block_mapping", block_mapping),
  };
  SwapBlocksParams params;
  ThrowIfError(PrepareSwapBlocks(args, &params));
  if (params.num_copies == 0) return;
  Launch(
      "swap_blocks", params.src_on_cuda ? args.src.device : args.dst.device,
      [&](ParallelFor parallel_for) { return SwapBlocksCpu(params, parallel_for); },
      [&](auto stream) { return SwapBlocksCuda(params, stream); });
}

}  // namespace stablekv
