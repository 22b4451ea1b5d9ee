#ifdef __x86_64__

#include "csrc/kernels/cache/fp8_rows_cpu.h"
#include "csrc/kernels/cache/fp8_rows_impl_cpu.h"
#include "csrc/kernels/common/vec_avx2.h"

namespace stablekv {

const EncodeFp8 kEncodeFp8Avx2[3][2] = STABLEKV_ENCODE_FP8_TABLE(avx2::Vec);

}  // namespace stablekv

#endif  // __x86_64__
