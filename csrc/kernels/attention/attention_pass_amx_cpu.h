// The pass of AMX. It is no instance of the template that the vector units share.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_PASS_AMX_CPU_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_PASS_AMX_CPU_H_

#include "csrc/kernels/attention/attention_pass_cpu.h"
#include "csrc/kernels/common/vec_amx.h"
#include "csrc/kernels/common/vec_format.h"

namespace stablekv {

template <VecFormat kFormat>
struct AttentionPass<amx::Vec, kFormat> {
  static void Run(const AttentionPlan& plan, int64_t seq, int64_t head, int64_t heads,
                  const BlockList& blocks, const BlockList& next, const AttentionSums& sums);
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_PASS_AMX_CPU_H_
