#ifdef __x86_64__

#include "csrc/kernels/attention/attention_items_cpu.h"
#include "csrc/kernels/attention/attention_plan_cpu.h"
#include "csrc/kernels/common/vec_avx512_vbmi.h"

namespace stablekv {

using Items = AttentionItems<avx512_vbmi::Vec>;

const AttentionFunctions kAttentionAvx512Vbmi = {&Items::RunItems, &Items::CombineRows};
const AttentionFunctions kAttentionAvx512Bf16 = {&Items::RunItems, &Items::CombineRows,
                                                 /*pairs=*/true};

}  // namespace stablekv

#endif  // __x86_64__
