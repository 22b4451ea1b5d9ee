#include "csrc/kernels/attention/attention_items_cpu.h"
#include "csrc/kernels/attention/attention_plan_cpu.h"
#include "csrc/kernels/common/vec_portable.h"

namespace stablekv {

using Items = AttentionItems<portable::Vec>;

const AttentionFunctions kAttentionPortable = {&Items::RunItems, &Items::CombineRows};

}  // namespace stablekv
