// The vector code of fp8_rows_cpu.h, as a template over the vector unit.
#ifndef STABLEKV_CSRC_KERNELS_CACHE_FP8_ROWS_IMPL_CPU_H_
#define STABLEKV_CSRC_KERNELS_CACHE_FP8_ROWS_IMPL_CPU_H_

#include <cstddef>
#include <cstdint>

#include "csrc/kernels/common/vec_format.h"

namespace stablekv {

template <class Vec, VecFormat kFrom, VecFormat kTo>
struct Fp8Rows {
  using Float = typename Vec::Float;
  using Int = typename Vec::Int;
  typedef uint32_t UInt __attribute__((vector_size(sizeof(Int))));

  static void Encode(const uint8_t* from, int64_t count, float scale, uint8_t* to) {
    int64_t i = 0;
    for (; i + kStep <= count; i += kStep) EncodeStep(from + i * kFromBytes, scale, to + i);
    if (i == count) return;
    uint8_t rest[kStep * kFromBytes] = {};
    uint8_t codes[kStep];
    __builtin_memcpy(rest, from + i * kFromBytes, static_cast<size_t>((count - i) * kFromBytes));
    EncodeStep(rest, scale, codes);
    __builtin_memcpy(to + i, codes, static_cast<size_t>(count - i));
  }

 private:
  static constexpr int64_t kStep = 16;
  static constexpr int64_t kFromBytes = kFrom == VecFormat::kFloat32 ? 4 : 2;

  static void EncodeStep(const uint8_t* from, float scale, uint8_t* to) {
    float values[kStep];
    Vec::template Widen8<kFrom>(from, values);
    Vec::template Widen8<kFrom>(from + 8 * kFromBytes, values + 8);
#pragma GCC unroll 4
    for (int64_t i = 0; i < kStep; i += Vec::kLanes) {
      Vec::StoreLowBytes(Codes(Vec::Load(values + i) / Vec::Set(scale)), to + i);
    }
  }

  static Int All(int32_t value) { return Int{} + value; }

  // The arithmetic of FloatBitsToFp8E4M3 and FloatBitsToFp8E5M2, without branches.
  static Int Codes(Float value) {
    constexpr bool kE4M3 = kTo == VecFormat::kFp8E4M3;
    constexpr int kShift = kE4M3 ? 20 : 21;  // fraction bits that go
    constexpr uint32_t kRebias = (kE4M3 ? 120u : 112u) << 23;
    constexpr int32_t kSmallestNormal = kE4M3 ? 0x3C800000 : 0x38800000;
    constexpr int32_t kMax = kE4M3 ? 0x7E : 0x7B;
    // A float this large has the format's smallest subnormal as its last fraction bit, so that
    // adding it rounds to a multiple of that.
    const Float to_units = Vec::Set(kE4M3 ? 16384.0f : 128.0f);

    const Int bits = (Int)value;
    const Int magnitude = bits & 0x7FFFFFFF;
    const Int sign = (bits >> 24) & 0x80;
    // Unsigned: what overflows below is in lanes that take another of the results.
    const UInt unsigned_magnitude = (UInt)magnitude;
    const UInt last = (unsigned_magnitude >> kShift) & 1;
    Int normal = (Int)((unsigned_magnitude - kRebias + ((1 << (kShift - 1)) - 1) + last) >> kShift);
    normal = normal > All(kMax) ? All(kMax) : normal;
    const Int subnormal = (Int)((UInt)((Float)magnitude + to_units) - (UInt)to_units);
    const Int code = (magnitude < All(kSmallestNormal) ? subnormal : normal) | sign;
    return magnitude > All(0x7F800000) ? All(0x7F) : code;
  }
};

// The initialiser of a table of kEncodeFp8*.
#define STABLEKV_ENCODE_FP8_ROW(Vec, kFrom)           \
  {&Fp8Rows<Vec, kFrom, VecFormat::kFp8E4M3>::Encode, \
   &Fp8Rows<Vec, kFrom, VecFormat::kFp8E5M2>::Encode}
#define STABLEKV_ENCODE_FP8_TABLE(Vec)                \
  {STABLEKV_ENCODE_FP8_ROW(Vec, VecFormat::kFloat32), \
   STABLEKV_ENCODE_FP8_ROW(Vec, VecFormat::kFloat16), \
   STABLEKV_ENCODE_FP8_ROW(Vec, VecFormat::kBFloat16)}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_CACHE_FP8_ROWS_IMPL_CPU_H_
