// Paged attention on tensor cores: when it can be used, and its launch.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_MMA_ATTENTION_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_MMA_ATTENTION_H_

#include "csrc/kernels/attention/cuda/mma/split_plan.h"
#include "csrc/kernels/attention/paged_attention.h"

namespace stablekv {

// What the choice of a kernel and its plan need to know of the current device.
struct MmaDevice {
  int processors;     // multiprocessors
  int64_t bandwidth;  // of its memory by its data sheet, bytes a microsecond; 0 if it is not known
  int code_arch;      // CodeArch() on it
  int shared_bytes;   // that a CTA may have

  static Status OfCurrent(MmaDevice* device);
};

// Whether the tensor-core kernel takes `params`. Of the listed head and block sizes it takes 16-bit
// queries whose rows are aligned to 8 bytes, caches whose blocks are to 16, and attention to all
// tokens.
bool MmaCovers(const PagedAttentionParams& params, const MmaDevice& device);

SplitPlan MmaPlanFor(const PagedAttentionParams& params, bool has_scratch, const MmaDevice& device);

// Launches the kernel, and the reduction if the plan has several splits: then there must be scratch
// with a row for each. Only for params that MmaCovers() takes.
Status LaunchMmaAttention(const PagedAttentionParams& params, const PagedAttentionScratch* scratch,
                          const SplitPlan& plan, CudaStream stream);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_MMA_ATTENTION_H_
