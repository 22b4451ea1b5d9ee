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
#include "csrc/kernels/common/vec_format.h"

namespace stablekv::portable {

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

  // Widens kLanes elements at any alignment, in `kPieces` equal pieces `stride` bytes apart.
  template <VecFormat kFormat, int kPieces>
  static Float LoadAs(const uint8_t* from, int64_t stride) {
    if constexpr (kFormat == VecFormat::kFloat32) {
      return Gather<Float, kPieces>(from, stride);
    } else if constexpr (kFormat == VecFormat::kFloat16 || kFormat == VecFormat::kBFloat16) {
      typedef uint16_t Codes __attribute__((vector_size(2 * kWidth)));
      const Int wide = __builtin_convertvector((Gather<Codes, kPieces>(from, stride)), Int);
      return kFormat == VecFormat::kBFloat16 ? (Float)(wide << 16) : Float16s(wide);
    } else {
      typedef uint8_t Codes __attribute__((vector_size(kWidth)));
      const Int wide = __builtin_convertvector((Gather<Codes, kPieces>(from, stride)), Int);
      return kFormat == VecFormat::kFp8E5M2 ? Float16s(wide << 8) : Fp8E4M3s(wide);
    }
  }

  // Widens 8 elements at any alignment.
  template <VecFormat kFormat>
  static void Widen8(const uint8_t* from, float* to) {
    constexpr int64_t kHalf = 4 * BytesOf(kFormat);
    VecOf<4>::Store(to, VecOf<4>::template LoadAs<kFormat, 1>(from, 0));
    VecOf<4>::Store(to + 4, VecOf<4>::template LoadAs<kFormat, 1>(from + kHalf, 0));
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
  template <typename Codes, int kPieces>
  static Codes Gather(const uint8_t* from, int64_t stride) {
    constexpr int64_t kPieceBytes = sizeof(Codes) / kPieces;
    uint8_t bytes[sizeof(Codes)];
    for (int64_t i = 0; i < kPieces; ++i) {
      memcpy(bytes + i * kPieceBytes, from + i * stride, kPieceBytes);
    }
    Codes codes;
    memcpy(&codes, bytes, sizeof(codes));
    return codes;
  }

  // A narrow format's exponent and fraction, shifted to where a float's are, are a float that is
  // too small by a power of two; the formats' subnormals come out right as well.
  static Float Float16s(Int codes) {
    const Int magnitude = (codes & 0x7FFF) << 13;
    const Float scaled = (Float)magnitude * 0x1p112f;
    const Int value = magnitude >= 0x7C00 << 13 ? magnitude | 0x7F800000 : (Int)scaled;
    return (Float)(value | (codes & 0x8000) << 16);
  }
  static Float Fp8E4M3s(Int codes) {
    const Int magnitude = (codes & 0x7F) << 20;
    const Float scaled = (Float)magnitude * 0x1p120f;
    const Int value = magnitude == 0x7F << 20 ? magnitude | 0x7FC00000 : (Int)scaled;
    return (Float)(value | (codes & 0x80) << 24);
  }
};

using Vec = VecOf<4>;

}  // namespace stablekv::portable

#endif  // STABLEKV_CSRC_KERNELS_COMMON_VEC_PORTABLE_H_
