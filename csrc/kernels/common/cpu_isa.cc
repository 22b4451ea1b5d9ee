#include "csrc/kernels/common/cpu_isa.h"

namespace stablekv {

const char* NameOf(CpuIsa isa) {
  switch (isa) {
    case CpuIsa::kPortable:
      return "portable";
    case CpuIsa::kAvx2:
      return "avx2";
    case CpuIsa::kAvx512:
      return "avx512";
    case CpuIsa::kAvx512Vbmi:
      return "avx512_vbmi";
  }
  return "unknown";
}

bool HasCpuIsa(CpuIsa isa) {
  if (isa == CpuIsa::kPortable) return true;
#ifdef __x86_64__
  __builtin_cpu_init();  // may run before the constructor that does it
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("f16c");
  if (isa == CpuIsa::kAvx2) return avx2;
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
  if (isa == CpuIsa::kAvx512) return avx512;
  return avx512 && __builtin_cpu_supports("avx512vbmi");
#else
  return false;
#endif
}

CpuIsa BestCpuIsa() {
  static const CpuIsa best = [] {
    CpuIsa found = CpuIsa::kPortable;
    for (const CpuIsa isa : kCpuIsas) {
      if (HasCpuIsa(isa)) found = isa;
    }
    return found;
  }();
  return best;
}

}  // namespace stablekv
