#include "csrc/kernels/common/vec_portable.h"
#include "csrc/kernels/mla/rotary_rows_cpu.h"
#include "csrc/kernels/mla/rotary_rows_impl_cpu.h"

namespace stablekv {

const RotateRow kRotateRowPortable[3] = STABLEKV_ROTATE_ROW_TABLE(portable::Vec);

}  // namespace stablekv
