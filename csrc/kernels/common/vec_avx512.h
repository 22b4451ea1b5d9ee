// The vector unit of kernels for AVX-512 (F, BW, DQ, VL): 16 floats. See vec_portable.h.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_VEC_AVX512_H_
#define STABLEKV_CSRC_KERNELS_COMMON_VEC_AVX512_H_

// GCC 12 takes the intrinsics' own undefined values for mistakes of ours.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#else
#include <immintrin.h>
#endif

#include <cstdint>

#include "csrc/kernels/common/vec_avx2.h"
#include "csrc/kernels/common/vec_format.h"

namespace stablekv::avx512 {

// `kUnit` keeps the machine code of the units that use it apart.
template <int kUnit>
struct Zmm {
  static constexpr int kLanes = 16;
  typedef float Float __attribute__((vector_size(64)));
  typedef int32_t Int __attribute__((vector_size(64)));
  using Unit = avx2::Ymm<kUnit>;
  template <VecFormat kFormat>
  using UnitFor = Zmm;

  static Float Load(const float* from) { return _mm512_loadu_ps(from); }
  static Float InRegister(Float value) {
    asm("" : "+v"(value));
    return value;
  }
  static void Store(float* to, Float value) { _mm512_storeu_ps(to, value); }
  static Float Set(float value) { return _mm512_set1_ps(value); }
  static Float MulAdd(Float a, Float b, Float c) { return _mm512_fmadd_ps(a, b, c); }

  static void StoreSums(float* to, Float a, Float b, Float c, Float d) {
    Unit::StoreSums(to, AddHalves(a), AddHalves(b), AddHalves(c), AddHalves(d));
  }

  static void StoreLowBytes(Int value, uint8_t* to) {
    _mm512_mask_cvtepi32_storeu_epi8(to, 0xFFFF, (__m512i)value);
  }

  template <int kSums>
  static Float PairSums(Float x, Float y) {
    if constexpr (kSums <= 2) {
      return _mm512_shuffle_ps(x, y, 0x88) + _mm512_shuffle_ps(x, y, 0xDD);
    } else {
      return _mm512_maskz_shuffle_f32x4(0xFFFF, x, y, 0x88) +
             _mm512_maskz_shuffle_f32x4(0xFFFF, x, y, 0xDD);
    }
  }
  // Pairs are brought together within quarters first: one permutation, here, instead of two a pair.
  template <int kPeriod>
  static Float InOrder(Float sums) {
    if constexpr (kPeriod == 16) return sums;
    const __m512i order =
        kPeriod == 2   ? _mm512_setr_epi32(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15)
        : kPeriod == 4 ? _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15)
                       : _mm512_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15);
    return _mm512_maskz_permutexvar_ps(0xFFFF, order, sums);
  }

  template <int kPeriod>
  static Float LoadRepeated(const float* from) {
    static_assert(kPeriod == 2 || kPeriod == 4 || kPeriod == 8 || kPeriod == 16);
    if constexpr (kPeriod == 16) return Load(from);
    if constexpr (kPeriod == 8) return _mm512_broadcast_f32x8(_mm256_loadu_ps(from));
    if constexpr (kPeriod == 4) return _mm512_broadcast_f32x4(_mm_loadu_ps(from));
    double pair;
    __builtin_memcpy(&pair, from, sizeof(pair));
    return _mm512_castpd_ps(_mm512_set1_pd(pair));
  }

  static constexpr int kTileSums = 16;
  // fp8 takes long to widen, so that more heads are to share it.
  template <VecFormat kFormat>
  static constexpr int kTileHeads = BytesOf(kFormat) == 1 ? 8 : 4;
  template <VecFormat kFormat>
  static constexpr int kParts =
      kFormat == VecFormat::kFloat32 || kFormat == VecFormat::kFloat16 ? 1 : 2;
  template <VecFormat kFormat>
  static constexpr float kFactor = kFormat == VecFormat::kFp8E4M3 ? 256 : 1;

  template <VecFormat kFormat>
  static void LoadParts(const uint8_t* from, Float* parts) {
    if constexpr (kFormat == VecFormat::kFloat32) {
      parts[0] = InRegister(Load(reinterpret_cast<const float*>(from)));
    } else if constexpr (kFormat == VecFormat::kFloat16) {
      parts[0] = _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
    } else if constexpr (kFormat == VecFormat::kBFloat16) {
      const __m512i pairs = _mm512_loadu_si512(from);
      parts[0] = InRegister(_mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16)));
      parts[1] =
          InRegister(_mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(-0x10000))));
    } else {
      const __m256i pairs = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
      parts[0] = InRegister(_mm512_cvtph_ps(Fp8ToHalf<kFormat>(_mm256_slli_epi16(pairs, 8))));
      parts[1] = InRegister(_mm512_cvtph_ps(Fp8ToHalf<kFormat>(pairs)));
    }
  }

  // Of BF16, an extension that not every AVX-512 has: LoadPairs brings kParts elements to each lane
  // as LoadParts does, but two to a vector, as bfloat16; and a lane of MulAddPairs is c plus the
  // sum of both products. Subnormal numbers are 0 to it.
  template <VecFormat kFormat>
  static constexpr bool kHasPairs = kFormat == VecFormat::kBFloat16;
  template <VecFormat kFormat>
  static void LoadPairs(const uint8_t* from, Float* pairs) {
    static_assert(kFormat == VecFormat::kBFloat16);
    pairs[0] = InRegister(Load(reinterpret_cast<const float*>(from)));
  }
  static Float MulAddPairs(Float a, Float b, Float c) {
    // By its name: a flag would let the compiler use the extension anywhere in the file.
    asm("vdpbf16ps %2, %1, %0" : "+v"(c) : "v"(a), "v"(b));
    return c;
  }

  template <VecFormat kFormat>
  static void Widen8(const uint8_t* from, float* to) {
    _mm256_storeu_ps(to, Unit::template Widen<kFormat>(from));
  }
  template <VecFormat kFormat>
  static void Narrow8(const float* from, uint8_t* to) {
    Unit::template Store<kFormat>(_mm256_loadu_ps(from), to);
  }

 private:
  // Fp8ToHalf of Ymm, on 16 codes.
  template <VecFormat kFormat>
  static __m256i Fp8ToHalf(__m256i codes) {
    if constexpr (kFormat == VecFormat::kFp8E5M2) {
      return _mm256_and_si256(codes, _mm256_set1_epi16(-0x100));
    }
    const __m256i scaled =
        _mm256_and_si256(_mm256_srai_epi16(codes, 1), _mm256_set1_epi16(-0x4080));
    const __m256i magnitude = _mm256_set1_epi16(0x3F80);
    const __mmask16 nan = _mm256_cmpeq_epi16_mask(_mm256_and_si256(scaled, magnitude), magnitude);
    return _mm256_mask_mov_epi16(scaled, nan, _mm256_set1_epi16(0x7E00));
  }

  static __m256 AddHalves(Float a) {
    return _mm256_add_ps(_mm512_maskz_extractf32x8_ps(0xFF, a, 0),
                         _mm512_maskz_extractf32x8_ps(0xFF, a, 1));
  }
};

using Vec = Zmm<512>;

}  // namespace stablekv::avx512

#endif  // STABLEKV_CSRC_KERNELS_COMMON_VEC_AVX512_H_
