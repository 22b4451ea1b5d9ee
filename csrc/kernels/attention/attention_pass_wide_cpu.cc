// 16 portable lanes, for tests: AVX-512 has as many, but not every machine has AVX-512.
#include "csrc/kernels/attention/attention_pass_cpu.h"
#include "csrc/kernels/attention/attention_pass_impl_cpu.h"
#include "csrc/kernels/common/vec_format.h"
#include "csrc/kernels/common/vec_portable.h"

namespace stablekv {

template struct AttentionPass<portable::VecOf<16>, VecFormat::STABLEKV_FORMAT>;

}  // namespace stablekv
