// The vector code of rotary_rows_cpu.h, as a template over the vector unit.
#ifndef STABLEKV_CSRC_KERNELS_MLA_ROTARY_ROWS_IMPL_CPU_H_
#define STABLEKV_CSRC_KERNELS_MLA_ROTARY_ROWS_IMPL_CPU_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "csrc/kernels/common/vec_format.h"
#include "csrc/kernels/mla/rotary_rows_cpu.h"

namespace stablekv {

// Sources of this are compiled with -ffp-contract=off: a fused multiply-add would leave a rounding
// out where the element is a float32.
template <class Vec, VecFormat kFormat>
struct RotaryRows {
  using Bits = std::conditional_t<kFormat == VecFormat::kFloat32, uint32_t, uint16_t>;
  using Float = typename Vec::Float;

  static void Rotate(const RotaryPosition& position, uint8_t* row) {
    for (int64_t first = 0; first < position.num_pairs; first += kPairs) {
      const int64_t count = std::min(kPairs, position.num_pairs - first);
      Bits x[kPairs] = {};
      Bits y[kPairs] = {};
      if (position.is_neox) {
        uint8_t* const from_x = row + first * kBytes;
        uint8_t* const from_y = from_x + position.num_pairs * kBytes;
        __builtin_memcpy(x, from_x, static_cast<size_t>(count * kBytes));
        __builtin_memcpy(y, from_y, static_cast<size_t>(count * kBytes));
        RotatePairs(position.cos + first, position.sin + first, x, y);
        __builtin_memcpy(from_x, x, static_cast<size_t>(count * kBytes));
        __builtin_memcpy(from_y, y, static_cast<size_t>(count * kBytes));
      } else {
        uint8_t* const from = row + 2 * first * kBytes;
        Bits pairs[2 * kPairs] = {};
        __builtin_memcpy(pairs, from, static_cast<size_t>(2 * count * kBytes));
        for (int64_t i = 0; i < kPairs; ++i) {
          x[i] = pairs[2 * i];
          y[i] = pairs[2 * i + 1];
        }
        RotatePairs(position.cos + first, position.sin + first, x, y);
        for (int64_t i = 0; i < kPairs; ++i) {
          pairs[2 * i] = x[i];
          pairs[2 * i + 1] = y[i];
        }
        __builtin_memcpy(from, pairs, static_cast<size_t>(2 * count * kBytes));
      }
    }
  }

 private:
  static constexpr int64_t kPairs = 8;
  static constexpr int64_t kBytes = sizeof(Bits);

  static void RotatePairs(const float* cos, const float* sin, Bits* x_bits, Bits* y_bits) {
    float x[kPairs];
    float y[kPairs];
    Widen(x_bits, x);
    Widen(y_bits, y);
    float x_cos[kPairs];
    float y_sin[kPairs];
    float y_cos[kPairs];
    float x_sin[kPairs];
    Multiply(x, cos, x_cos);
    Multiply(y, sin, y_sin);
    Multiply(y, cos, y_cos);
    Multiply(x, sin, x_sin);
    for (int64_t i = 0; i < kPairs; i += kStep) {
      Vec::Store(x + i, Vec::Load(x_cos + i) - Vec::Load(y_sin + i));
      Vec::Store(y + i, Vec::Load(y_cos + i) + Vec::Load(x_sin + i));
    }
    Narrow(x, x_bits);
    Narrow(y, y_bits);
  }

  static constexpr int64_t kStep = Vec::kLanes;
  static_assert(kPairs % kStep == 0);

  // The product, rounded to the element type.
  static void Multiply(const float* a, const float* b, float* product) {
    for (int64_t i = 0; i < kPairs; i += kStep) {
      Vec::Store(product + i, Vec::Load(a + i) * Vec::Load(b + i));
    }
    if constexpr (kFormat != VecFormat::kFloat32) {
      Bits rounded[kPairs];
      Vec::template Narrow8<kFormat>(product, reinterpret_cast<uint8_t*>(rounded));
      Widen(rounded, product);
    }
  }

  static void Widen(const Bits* from, float* to) {
    Vec::template Widen8<kFormat>(reinterpret_cast<const uint8_t*>(from), to);
  }

  static void Narrow(const float* from, Bits* to) {
    constexpr Bits kMagnitude = static_cast<Bits>(~Bits{0}) >> 1;
    constexpr Bits kInfinity = kFormat == VecFormat::kFloat32   ? Bits(0x7F800000)
                               : kFormat == VecFormat::kFloat16 ? Bits(0x7C00)
                                                                : Bits(0x7F80);
    Vec::template Narrow8<kFormat>(from, reinterpret_cast<uint8_t*>(to));
    for (int64_t i = 0; i < kPairs; ++i) {
      const Bits magnitude = to[i] & kMagnitude;
      to[i] = magnitude > kInfinity ? kMagnitude : to[i];
    }
  }
};

// The initialiser of a table of kRotateRow*.
#define STABLEKV_ROTATE_ROW_TABLE(Vec)                                                           \
  {&RotaryRows<Vec, VecFormat::kFloat32>::Rotate, &RotaryRows<Vec, VecFormat::kFloat16>::Rotate, \
   &RotaryRows<Vec, VecFormat::kBFloat16>::Rotate}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_MLA_ROTARY_ROWS_IMPL_CPU_H_
