#include "csrc/kernels/cache/fp8_rows_cpu.h"
#include "csrc/kernels/cache/fp8_rows_impl_cpu.h"
#include "csrc/kernels/common/vec_portable.h"

namespace stablekv {

const EncodeFp8 kEncodeFp8Portable[3][2] = STABLEKV_ENCODE_FP8_TABLE(portable::Vec);

}  // namespace stablekv
