#include "csrc/kernels/mla/rotary_rows_cpu.h"

namespace stablekv {

RotateRow FindRotateRow(ElementType element, CpuIsa isa) {
  const auto row = static_cast<int>(element);
#ifdef __x86_64__
  // A machine with AVX-512 has AVX2, and eight pairs are enough at a time.
  if (isa != CpuIsa::kPortable) return kRotateRowAvx2[row];
#endif
  (void)isa;
  return kRotateRowPortable[row];
}

}  // namespace stablekv
