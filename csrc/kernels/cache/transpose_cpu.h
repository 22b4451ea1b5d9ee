// Transposes squares of elements whose rows are 16 bytes.
#ifndef STABLEKV_CSRC_KERNELS_CACHE_TRANSPOSE_CPU_H_
#define STABLEKV_CSRC_KERNELS_CACHE_TRANSPOSE_CPU_H_

#include <cstdint>
#include <cstring>

#ifdef __SSE2__  // every x86-64
#include <emmintrin.h>
#endif

namespace stablekv {

// to[j, i] = from[i, j] for i, j in [0, 16 / kBytes), elements of kBytes, rows at the given strides
// in bytes; any alignment.
template <int64_t kBytes>
void TransposeSquare(const uint8_t* from, int64_t from_stride, uint8_t* to, int64_t to_stride) {
  constexpr int64_t kSide = 16 / kBytes;
#ifdef __SSE2__
  __m128i rows[kSide];
  __m128i shuffled[kSide];
#pragma GCC unroll 16
  for (int64_t i = 0; i < kSide; ++i) {
    rows[i] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i * from_stride));
  }
  // Shuffling the upper half of all elements perfectly into the lower half rotates an element's
  // index, (i, j) in binary, by one bit. As many times as j has bits, i and j have changed places.
#pragma GCC unroll 4
  for (int64_t bit = 1; bit < kSide; bit *= 2) {
#pragma GCC unroll 8
    for (int64_t i = 0; i < kSide / 2; ++i) {
      const __m128i a = rows[i];
      const __m128i b = rows[i + kSide / 2];
      if constexpr (kBytes == 1) {
        shuffled[2 * i] = _mm_unpacklo_epi8(a, b);
        shuffled[2 * i + 1] = _mm_unpackhi_epi8(a, b);
      } else if constexpr (kBytes == 2) {
        shuffled[2 * i] = _mm_unpacklo_epi16(a, b);
        shuffled[2 * i + 1] = _mm_unpackhi_epi16(a, b);
      } else {
        shuffled[2 * i] = _mm_unpacklo_epi32(a, b);
        shuffled[2 * i + 1] = _mm_unpackhi_epi32(a, b);
      }
    }
#pragma GCC unroll 16
    for (int64_t i = 0; i < kSide; ++i) rows[i] = shuffled[i];
  }
#pragma GCC unroll 16
  for (int64_t i = 0; i < kSide; ++i) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i * to_stride), rows[i]);
  }
#else
#pragma GCC unroll 16
  for (int64_t i = 0; i < kSide; ++i) {
    for (int64_t j = 0; j < kSide; ++j) {
      memcpy(to + j * to_stride + i * kBytes, from + i * from_stride + j * kBytes, kBytes);
    }
  }
#endif
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_CACHE_TRANSPOSE_CPU_H_
