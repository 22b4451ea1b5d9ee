#ifdef __x86_64__

#include "csrc/kernels/attention/attention_items_cpu.h"
#include "csrc/kernels/attention/attention_plan_cpu.h"
#include "csrc/kernels/common/vec_avx512.h"

namespace stablekv {

using Items = AttentionItems<avx512::Vec>;

const AttentionFunctions kAttentionAvx512 = {&Items::RunItems, &Items::CombineRows};

}  // namespace stablekv

#endif  // __x86_64__
