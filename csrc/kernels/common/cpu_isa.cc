#include "csrc/kernels/common/cpu_isa.h"

#ifdef __x86_64__
#include <cpuid.h>
#endif
#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace stablekv {
namespace {

#if defined(__x86_64__) && defined(__linux__)
// Of the processor: Linux may refuse it still. Older compilers' __builtin_cpu_supports does not
// know AMX.
bool KnowsAmx() {
  unsigned int eax, ebx, ecx, edx;
  if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) return false;
  constexpr unsigned int kBFloat16 = 1u << 22, kTiles = 1u << 24;
  return (edx & kBFloat16) != 0 && (edx & kTiles) != 0;
}

bool HasAmx() {
  if (!KnowsAmx()) return false;
  // Fails where the kernel knows no AMX, and where a thread has a signal stack without room for its
  // registers. The permission holds for the process's present and later threads.
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}
#elif defined(__x86_64__)
bool KnowsAmx() { return false; }
bool HasAmx() { return false; }
#endif

}  // namespace

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
    case CpuIsa::kAvx512Bf16:
      return "avx512_bf16";
    case CpuIsa::kAmx:
      return "amx";
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
  const bool vbmi = avx512 && __builtin_cpu_supports("avx512vbmi");
  if (isa == CpuIsa::kAvx512Vbmi) return vbmi;
  if (isa == CpuIsa::kAvx512Bf16) {
    return vbmi && __builtin_cpu_supports("avx512bf16") && !KnowsAmx();
  }
  return vbmi && HasAmx();
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
