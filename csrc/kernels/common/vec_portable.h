// The vector unit of kernels for any CPU, through the compiler's vector extension.
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

// The bits of the floats that the codes of an fp8 format stand for.
struct Fp8Table {
  uint32_t bits[256];
};
template <VecFormat kFormat>
constexpr Fp8Table MakeFp8Table() {
  Fp8Table table{};
  for (int code = 0; code < 256; ++code) {
    table.bits[code] = kFormat == VecFormat::kFp8E4M3
                           ? Fp8E4M3ToFloatBits(static_cast<uint8_t>(code))
                           : Fp8E5M2ToFloatBits(static_cast<uint8_t>(code));
  }
  return table;
}
template <VecFormat kFormat>
inline constexpr Fp8Table kFp8Table = MakeFp8Table<kFormat>();

// 4 lanes is what most CPUs have; tests take more to check what kernels do with wide vectors.
template <int kWidth>
struct VecOf {
  static constexpr int kLanes = kWidth;
  typedef float Float __attribute__((vector_size(4 * kWidth)));
  typedef int32_t Int __attribute__((vector_size(4 * kWidth)));

  // Any alignment.
  static Float Load(const float* from) {
    Float value;
    memcpy(&value, from, sizeof(value));
    return value;
  }
  // `value`, which is used several times: the compiler shall not load it each time.
  static Float InRegister(Float value) { return value; }
  static void Store(float* to, Float value) { memcpy(to, &value, sizeof(value)); }
  static Float Set(float value) { return Float{} + value; }
  static Float MulAdd(Float a, Float b, Float c) { return a * b + c; }

  // to[i] = the sum of the lanes of value i.
  static void StoreSums(float* to, Float a, Float b, Float c, Float d) {
    float lanes[4][kLanes];
    Store(lanes[0], a);
    Store(lanes[1], b);
    Store(lanes[2], c);
    Store(lanes[3], d);
    for (int i = 0; i < 4; ++i) {
      to[i] = 0;
      for (const float lane : lanes[i]) to[i] += lane;
    }
  }

  // The low byte of each lane, whose other bytes are 0.
  static void StoreLowBytes(Int value, uint8_t* to) {
    int32_t lanes[kLanes];
    memcpy(lanes, &value, sizeof(lanes));
    for (int i = 0; i < kLanes; ++i) to[i] = static_cast<uint8_t>(lanes[i]);
  }

  // [x0 + x1, x2 + x3, ..., y0 + y1, y2 + y3, ...], where a lane is the sum of kSums lanes. When
  // kPeriod vectors have become one, InOrder makes up for a unit that had the lanes in another
  // order meanwhile.
  template <int kSums>
  static Float PairSums(Float x, Float y) {
    float from[2 * kLanes];
    float to[kLanes];
    Store(from, x);
    Store(from + kLanes, y);
    for (int i = 0; i < kLanes; ++i) to[i] = from[2 * i] + from[2 * i + 1];
    return Load(to);
  }

  template <int kPeriod>
  static Float InOrder(Float sums) {
    return sums;
  }

  // kPeriod floats, again and again.
  template <int kPeriod>
  static Float LoadRepeated(const float* from) {
    float lanes[kLanes];
    for (int i = 0; i < kLanes; i += kPeriod) memcpy(lanes + i, from, kPeriod * sizeof(float));
    return Load(lanes);
  }

  // The unit that has code for a format.
  template <VecFormat kFormat>
  using UnitFor = VecOf;

  // Sums and vectors of heads that attention keeps in registers, of which most machines have 16 or
  // 32.
  static constexpr int kTileSums = 8;
  template <VecFormat kFormat>
  static constexpr bool kHasPairs = false;  // see vec_avx512.h
  template <VecFormat kFormat>
  static constexpr int kTileHeads = 4;

  // LoadParts widens kParts * kLanes elements at any alignment: parts[p] has element kParts j + p
  // in lane j, divided by kFactor.
  template <VecFormat kFormat>
  static constexpr int kParts = 4 / BytesOf(kFormat);
  template <VecFormat kFormat>
  static constexpr float kFactor = 1;

  template <VecFormat kFormat>
  static void LoadParts(const uint8_t* from, Float* parts) {
    if constexpr (kFormat == VecFormat::kFloat32) {
      memcpy(parts, from, sizeof(Float));
    } else if constexpr (kFormat == VecFormat::kFloat16 || kFormat == VecFormat::kBFloat16) {
      Int pairs;  // the first element in the lower half: little-endian
      memcpy(&pairs, from, sizeof(pairs));
      if constexpr (kFormat == VecFormat::kBFloat16) {
        parts[0] = (Float)(pairs << 16);
        parts[1] = (Float)(pairs & -0x10000);
      } else {
        parts[0] = Float16s(pairs & 0xFFFF);
        parts[1] = Float16s(pairs >> 16 & 0xFFFF);
      }
    } else {
      // A product would be slow wherever a subnormal goes into it.
      for (int p = 0; p < 4; ++p) {
        uint32_t lanes[kLanes];
        for (int j = 0; j < kLanes; ++j) lanes[j] = kFp8Table<kFormat>.bits[from[4 * j + p]];
        memcpy(&parts[p], lanes, sizeof(lanes));
      }
    }
  }

  // Widens 8 elements at any alignment; not for fp8.
  template <VecFormat kFormat>
  static void Widen8(const uint8_t* from, float* to) {
    if constexpr (kFormat == VecFormat::kFloat32) {
      memcpy(to, from, 32);
    } else {
      uint16_t codes[8];
      memcpy(codes, from, sizeof(codes));
      for (int i = 0; i < 8; ++i) {
        to[i] =
            kFormat == VecFormat::kFloat16 ? Float16ToFloat(codes[i]) : BFloat16ToFloat(codes[i]);
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

 private:
  // A float16's exponent and fraction, shifted to where a float's are, are a float that is
  // too small by a power of two; subnormals come out right as well.
  static Float Float16s(Int codes) {
    const Int magnitude = (codes & 0x7FFF) << 13;
    const Float scaled = (Float)magnitude * 0x1p112f;
    const Int value = magnitude >= 0x7C00 << 13 ? magnitude | 0x7F800000 : (Int)scaled;
    return (Float)(value | (codes & 0x8000) << 16);
  }
};

using Vec = VecOf<4>;

}  // namespace stablekv::portable

#endif  // STABLEKV_CSRC_KERNELS_COMMON_VEC_PORTABLE_H_
