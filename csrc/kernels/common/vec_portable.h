// The vector unit of kernels for any CPU: 4 floats, through the compiler's vector extension.
//
// Every vec_*.h gives a struct of this shape. Kernels are templates over it, so that the machine
// code of one unit never shares a symbol with another's.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_VEC_PORTABLE_H_
#define STABLEKV_CSRC_KERNELS_COMMON_VEC_PORTABLE_H_

#include <cstdint>
#include <cstring>

#include "csrc/kernels/common/bfloat16.h"
#include "csrc/kernels/common/float16.h"
#include "csrc/kernels/common/fp8.h"
#include "csrc/kernels/common/vec_format.h"

namespace stablekv::portable {

struct Vec {
  static constexpr int kLanes = 4;
  typedef float Float __attribute__((vector_size(16)));
  typedef int32_t Int __attribute__((vector_size(16)));

  // Any alignment.
  static Float Load(const float* from) {
    Float value;
    memcpy(&value, from, sizeof(value));
    return value;
  }
  static void Store(float* to, Float value) { memcpy(to, &value, sizeof(value)); }
  static Float Set(float value) { return Float{value, value, value, value}; }
  static Float MulAdd(Float a, Float b, Float c) { return a * b + c; }

  // to[i] = the sum of the lanes of value i.
  static void StoreSums(float* to, Float a, Float b, Float c, Float d) {
    const Float low = Float{a[0], b[0], c[0], d[0]} + Float{a[1], b[1], c[1], d[1]};
    const Float high = Float{a[2], b[2], c[2], d[2]} + Float{a[3], b[3], c[3], d[3]};
    Store(to, low + high);
  }

  // The low byte of each lane, whose other bytes are 0.
  static void StoreLowBytes(Int value, uint8_t* to) {
    for (int i = 0; i < kLanes; ++i) to[i] = static_cast<uint8_t>(value[i]);
  }

  // Widens 8 elements at any alignment.
  template <VecFormat kFormat>
  static void Widen8(const uint8_t* from, float* to) {
    if constexpr (kFormat == VecFormat::kFloat32) {
      memcpy(to, from, 32);
    } else if constexpr (kFormat == VecFormat::kFloat16 || kFormat == VecFormat::kBFloat16) {
      uint16_t codes[8];
      memcpy(codes, from, sizeof(codes));
      for (int i = 0; i < 8; ++i) {
        to[i] =
            kFormat == VecFormat::kFloat16 ? Float16ToFloat(codes[i]) : BFloat16ToFloat(codes[i]);
      }
    } else {
      for (int i = 0; i < 8; ++i) {
        to[i] = kFormat == VecFormat::kFp8E4M3 ? Fp8E4M3ToFloat(from[i]) : Fp8E5M2ToFloat(from[i]);
      }
    }
  }

  // Rounds 8 floats to nearest even; not for fp8.
  template <VecFormat kFormat>
  static void Narrow8(const float* from, uint8_t* to) {
    if constexpr (kFormat == VecFormat::kFloat32) {
      memcpy(to, from, 32);
    } else {
      uint16_t codes[8];
      for (int i = 0; i < 8; ++i) {
        codes[i] =
            kFormat == VecFormat::kFloat16 ? FloatToFloat16(from[i]) : FloatToBFloat16(from[i]);
      }
      memcpy(to, codes, sizeof(codes));
    }
  }
};

}  // namespace stablekv::portable

#endif  // STABLEKV_CSRC_KERNELS_COMMON_VEC_PORTABLE_H_
