// The pass of AVX-512 with VBMI. It is no instance of the template that the vector units share.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_PASS_AVX512_VBMI_CPU_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_PASS_AVX512_VBMI_CPU_H_

#include "csrc/kernels/attention/attention_pass_cpu.h"
#include "csrc/kernels/common/vec_avx512_vbmi.h"
#include "csrc/kernels/common/vec_format.h"

namespace stablekv {

template <VecFormat kFormat>
struct AttentionPass<avx512_vbmi::Vec, kFormat> {
  static void Run(const AttentionPlan& plan, int64_t seq, int64_t head, int64_t heads,
                  const BlockList& blocks, const BlockList& next, const AttentionSums& sums);
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_PASS_AVX512_VBMI_CPU_H_
