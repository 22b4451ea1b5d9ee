// Encodes rows of elements as fp8, on each of the CPU's vector units.
#ifndef STABLEKV_CSRC_KERNELS_CACHE_FP8_ROWS_CPU_H_
#define STABLEKV_CSRC_KERNELS_CACHE_FP8_ROWS_CPU_H_

#include <cstdint>

#include "csrc/kernels/common/cpu_isa.h"
#include "csrc/kernels/common/types.h"

namespace stablekv {

// to[i] = fp8(from[i] / scale), a float32 division and one rounding, for `count` elements at any
// alignment. fp8.h says how the rounding goes.
using EncodeFp8 = void (*)(const uint8_t* from, int64_t count, float scale, uint8_t* to);

// `cache` is not kAuto; `isa` is one that this machine has.
EncodeFp8 FindEncodeFp8(ElementType element, CacheType cache, CpuIsa isa);

// [element][0: e4m3, 1: e5m2], one table per vector unit.
extern const EncodeFp8 kEncodeFp8Portable[3][2];
extern const EncodeFp8 kEncodeFp8Avx2[3][2];
extern const EncodeFp8 kEncodeFp8Avx512[3][2];

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_CACHE_FP8_ROWS_CPU_H_
