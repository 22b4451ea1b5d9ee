#include "csrc/kernels/cache/fp8_rows_cpu.h"

namespace stablekv {

EncodeFp8 FindEncodeFp8(ElementType element, CacheType cache, CpuIsa isa) {
  const auto row = static_cast<int>(element);
  const int column = cache == CacheType::kFp8E4M3 ? 0 : 1;
#ifdef __x86_64__
  if (isa >= CpuIsa::kAvx512) return kEncodeFp8Avx512[row][column];
  if (isa == CpuIsa::kAvx2) return kEncodeFp8Avx2[row][column];
#endif
  (void)isa;
  return kEncodeFp8Portable[row][column];
}

}  // namespace stablekv
