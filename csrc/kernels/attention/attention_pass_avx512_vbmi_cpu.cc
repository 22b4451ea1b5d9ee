#ifdef __x86_64__

#include "csrc/kernels/attention/attention_pass_avx512_vbmi_cpu.h"

#include <cstdint>

#include "csrc/kernels/attention/attention_pass_cpu.h"
#include "csrc/kernels/attention/attention_pass_impl_cpu.h"
#include "csrc/kernels/attention/attention_plan_cpu.h"
#include "csrc/kernels/common/vec_avx512.h"
#include "csrc/kernels/common/vec_avx512_vbmi.h"
#include "csrc/kernels/common/vec_format.h"

namespace stablekv {

// VBMI is for bytes: other formats are AVX-512's.
template <VecFormat kFormat>
void AttentionPass<avx512_vbmi::Vec, kFormat>::Run(const AttentionPlan& plan, int64_t seq,
                                                   int64_t head, int64_t heads,
                                                   const BlockList& blocks, const BlockList& next,
                                                   const AttentionSums& sums) {
  if constexpr (BytesOf(kFormat) == 1) {
    AttentionPassImpl<avx512_vbmi::Vec>(plan).template Run<kFormat>(seq, head, heads, blocks, next,
                                                                    sums);
  } else {
    AttentionPass<avx512::Vec, kFormat>::Run(plan, seq, head, heads, blocks, next, sums);
  }
}

template struct AttentionPass<avx512_vbmi::Vec, VecFormat::STABLEKV_FORMAT>;

}  // namespace stablekv

#endif  // __x86_64__
