#include "csrc/ops/swap_blocks_batch.h"

#include "csrc/libtorch_stable/launch.h"
#include "csrc/libtorch_stable/ops.h"
#include "csrc/libtorch_stable/tensor_arg.h"

namespace stablekv {

void SwapBlocksBatch(const Tensor& src_ptrs, const Tensor& dst_ptrs, const Tensor& sizes,
                     bool is_src_access_order_any) {
  constexpr const char* kOp = "swap_blocks_batch";
  SwapBlocksBatchParams params;
  ThrowIfError(
      PrepareSwapBlocksBatch({InputArg("src_ptrs", src_ptrs), InputArg("dst_ptrs", dst_ptrs),
                              InputArg("sizes", sizes), is_src_access_order_any},
                             &params));
  if (params.copies.empty()) return;
#ifdef STABLEKV_WITH_CUDA
  // The tensors say nothing of the memory behind the addresses.
  int32_t device = -1;
  if (TorchHasCuda()) ThrowIfError(kOp, FindCudaDevice(&device));
  if (device >= 0) {
    ThrowIfError(kOp, SwapBlocksBatchCuda(params, CurrentCudaStream(device)));
    return;
  }
#endif
  ThrowIfError(kOp, SwapBlocksBatchCpu(params, &TorchParallelFor));
}

}  // namespace stablekv
