#ifdef __x86_64__

#include "csrc/kernels/attention/attention_items_cpu.h"
#include "csrc/kernels/attention/attention_plan_cpu.h"
#include "csrc/kernels/common/vec_avx2.h"

namespace stablekv {

using Items = AttentionItems<avx2::Vec>;

const AttentionFunctions kAttentionAvx2 = {&Items::RunItems, &Items::CombineRows};

}  // namespace stablekv

#endif  // __x86_64__
