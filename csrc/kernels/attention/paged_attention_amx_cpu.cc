#ifdef __x86_64__

#include "csrc/kernels/attention/attention_items_cpu.h"
#include "csrc/kernels/attention/attention_pass_amx_cpu.h"
#include "csrc/kernels/attention/attention_plan_cpu.h"
#include "csrc/kernels/common/vec_amx.h"

namespace stablekv {

using Items = AttentionItems<amx::Vec>;

const AttentionFunctions kAttentionAmx = {&Items::RunItems, &Items::CombineRows};

}  // namespace stablekv

#endif  // __x86_64__
