// The vector units that CPU kernels are compiled for, and which of them this machine has.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_CPU_ISA_H_
#define STABLEKV_CSRC_KERNELS_COMMON_CPU_ISA_H_

#include <cstdint>

namespace stablekv {

enum class CpuIsa : int8_t {
  kPortable,    // what the compiler assumes of every machine
  kAvx2,        // AVX2, FMA, F16C
  kAvx512,      // those, and AVX-512 F, BW, DQ, VL
  kAvx512Vbmi,  // those, and VBMI
  kAvx512Bf16,  // those, and BF16, where it is as fast as the rest: without AMX beside it
  kAmx,         // those, and AMX's tiles for bfloat16
};

inline constexpr CpuIsa kCpuIsas[] = {CpuIsa::kPortable,   CpuIsa::kAvx2,       CpuIsa::kAvx512,
                                      CpuIsa::kAvx512Vbmi, CpuIsa::kAvx512Bf16, CpuIsa::kAmx};

const char* NameOf(CpuIsa isa);

// Whether this machine, its operating system included, can run code for `isa`. Linux gives a
// process the use of AMX when it asks for it, and this asks.
bool HasCpuIsa(CpuIsa isa);

// The last of kCpuIsas that this machine has; looked up once.
CpuIsa BestCpuIsa();

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_COMMON_CPU_ISA_H_
