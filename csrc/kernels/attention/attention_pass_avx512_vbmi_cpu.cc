#ifdef __x86_64__

#include "csrc/kernels/attention/attention_pass_cpu.h"
#include "csrc/kernels/attention/attention_pass_impl_cpu.h"
#include "csrc/kernels/common/vec_avx512_vbmi.h"
#include "csrc/kernels/common/vec_format.h"

namespace stablekv {

template struct AttentionPass<avx512_vbmi::Vec, VecFormat::STABLEKV_FORMAT>;

}  // namespace stablekv

#endif  // __x86_64__
