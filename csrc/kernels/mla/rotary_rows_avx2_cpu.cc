#ifdef __x86_64__

#include "csrc/kernels/common/vec_avx2.h"
#include "csrc/kernels/mla/rotary_rows_cpu.h"
#include "csrc/kernels/mla/rotary_rows_impl_cpu.h"

namespace stablekv {

const RotateRow kRotateRowAvx2[3] = STABLEKV_ROTATE_ROW_TABLE(avx2::Vec);

}  // namespace stablekv

#endif  // __x86_64__
