#include "csrc/kernels/attention/attention_pass_cpu.h"
#include "csrc/kernels/attention/attention_pass_impl_cpu.h"
#include "csrc/kernels/common/vec_format.h"
#include "csrc/kernels/common/vec_portable.h"

namespace stablekv {

template struct AttentionPass<portable::Vec, VecFormat::STABLEKV_FORMAT>;

}  // namespace stablekv
