#ifdef __x86_64__

#include "csrc/kernels/attention/attention_pass_cpu.h"
#include "csrc/kernels/attention/attention_pass_impl_cpu.h"
#include "csrc/kernels/common/vec_avx2.h"
#include "csrc/kernels/common/vec_format.h"

namespace stablekv {

template struct AttentionPass<avx2::Vec, VecFormat::STABLEKV_FORMAT>;

}  // namespace stablekv

#endif  // __x86_64__
