// Conversions from float32 to e2m1, the 4-bit float, the same codes on every backend.
//
// Blackwell has an instruction for two of them, but only in code for one architecture or its family
// (sm_100a, sm_100f, sm_120f, ..): nvcc refuses it in code that later GPUs are to run too (sm_100,
// compute_120). Everything else takes the bits apart.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_FP4_H_
#define STABLEKV_CSRC_KERNELS_COMMON_FP4_H_

#include <cstdint>

#include "csrc/kernels/common/float_bits.h"
#include "csrc/kernels/common/host_device.h"

namespace stablekv {

inline constexpr uint8_t kFp4E2M1Max = 7;  // 6

// Codes 0 to 7 are 0, 0.5, 1, 1.5, 2, 3, 4, 6; bit 3 is the sign. Nearest, ties to even; what is
// too large, Inf too, becomes 6. -0 stays -0. NaN becomes +6.
STABLEKV_HOST_DEVICE constexpr uint8_t FloatBitsToFp4E2M1(uint32_t bits) {
  const uint32_t magnitude = bits & 0x7FFFFFFF;
  if (magnitude > kFloatInfinityBits) return kFp4E2M1Max;
  const uint32_t sign = (bits >> 28) & 8;
  uint32_t code = 0;
  if (magnitude >= 0x40C00000) {  // 6
    code = kFp4E2M1Max;
  } else if (magnitude >= 0x3F800000) {  // 1: the smallest normal value
    code = ShiftRightToNearestEven(magnitude - (uint32_t{126} << 23), 22);
  } else {
    code = MagnitudeInUnits(magnitude, -1);
  }
  return static_cast<uint8_t>(sign | code);
}

STABLEKV_HOST_DEVICE inline uint8_t FloatToFp4E2M1(float value) {
  return FloatBitsToFp4E2M1(FloatToBits(value));
}

// Whether the code at hand is for one of the families that have the instruction: 10, 11 and 12.
#if defined(__CUDA_ARCH_FAMILY_SPECIFIC__)
#if __CUDA_ARCH_FAMILY_SPECIFIC__ >= 1000 && __CUDA_ARCH_FAMILY_SPECIFIC__ < 1300
#define STABLEKV_HAS_FP4_INSTRUCTION 1
#endif
#endif

// Two codes, that of `low` in the low half of the byte.
STABLEKV_HOST_DEVICE inline uint8_t FloatPairToFp4E2M1(float low, float high) {
#ifdef STABLEKV_HAS_FP4_INSTRUCTION
  // It is left nothing but to round magnitudes up to 6 to nearest even. Those of NaN and of what is
  // too large are made 6 before, and signs put in behind: the bytes do not hang on how it takes
  // special values.
  uint16_t codes;
  asm("{\n"
      ".reg .b8 pair;\n"
      "cvt.rn.satfinite.e2m1x2.f32 pair, %1, %2;\n"
      "mov.b16 %0, {pair, 0};\n"
      "}"
      : "=h"(codes)
      : "f"(fminf(fabsf(high), 6.0f)), "f"(fminf(fabsf(low), 6.0f)));
  const uint32_t low_sign = low != low ? 0 : (FloatToBits(low) >> 28) & 0x08;
  const uint32_t high_sign = high != high ? 0 : (FloatToBits(high) >> 24) & 0x80;
  return static_cast<uint8_t>((codes & 0x77) | low_sign | high_sign);
#else
  return static_cast<uint8_t>(FloatToFp4E2M1(low) | FloatToFp4E2M1(high) << 4);
#endif
}

#undef STABLEKV_HAS_FP4_INSTRUCTION

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_COMMON_FP4_H_
