// Paged attention on a chosen vector unit of the CPU; v1 and v2 choose the best one.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_PAGED_ATTENTION_CPU_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_PAGED_ATTENTION_CPU_H_

#include "csrc/kernels/attention/attention_plan_cpu.h"
#include "csrc/kernels/attention/paged_attention.h"
#include "csrc/kernels/common/cpu_isa.h"

namespace stablekv {

// `isa` must be one that this machine has; `scratch` may be null.
Status PagedAttentionOnIsa(const PagedAttentionParams& params, const PagedAttentionScratch* scratch,
                           ParallelFor parallel_for, CpuIsa isa);

// For tests: with the code of a vector unit that the library has no use for.
Status PagedAttentionWith(const AttentionFunctions& functions, const PagedAttentionParams& params,
                          const PagedAttentionScratch* scratch, ParallelFor parallel_for);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_PAGED_ATTENTION_CPU_H_
