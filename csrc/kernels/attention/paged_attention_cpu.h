// Paged attention on a chosen vector unit of the CPU; v1 and v2 choose the best one.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_PAGED_ATTENTION_CPU_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_PAGED_ATTENTION_CPU_H_

#include <cstdint>

#include "csrc/kernels/attention/attention_plan_cpu.h"
#include "csrc/kernels/attention/paged_attention.h"
#include "csrc/kernels/common/cpu_isa.h"

namespace stablekv {

// Partial results of as many sequences as make this much are there at a time. More would be fresh
// pages at each call: the C library's allocator keeps no more than 32 MiB.
inline constexpr int64_t kPartialBytes = 16 * 1024 * 1024;

// `isa` must be one that this machine has.
Status PagedAttentionOnIsa(const PagedAttentionParams& params, ParallelFor parallel_for,
                           CpuIsa isa);

// For tests: with the code of a vector unit that the library has no use for, or in small batches.
Status PagedAttentionWith(const AttentionFunctions& functions, const PagedAttentionParams& params,
                          ParallelFor parallel_for, int64_t partial_bytes = kPartialBytes);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_PAGED_ATTENTION_CPU_H_
