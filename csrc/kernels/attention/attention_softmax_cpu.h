// Vector code of softmax: largest value, exponentials and their sum, rescaling.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_SOFTMAX_CPU_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_SOFTMAX_CPU_H_

#include <cstdint>

namespace stablekv {

inline constexpr float kMinusInfinity = -__builtin_inff();

// Lengths are multiples of the lanes.
template <class Vec>
struct AttentionSoftmax {
  using Float = typename Vec::Float;
  typedef uint32_t UInt __attribute__((vector_size(sizeof(Float))));

  // values[i] = values[i] * scale + slope * positions[i]; `positions` may be null if slope is 0.
  // Returns the largest of them that is no NaN; -Inf if there is none.
  static float ScaleAndFindMax(float* values, int64_t length, float scale, float slope,
                               const float* positions) {
    const Float scales = Vec::Set(scale);
    const Float slopes = Vec::Set(slope);
    Float largest = Vec::Set(kMinusInfinity);
    for (int64_t i = 0; i < length; i += Vec::kLanes) {
      const Float from = Vec::Load(values + i);
      const Float value =
          slope == 0 ? from * scales : Vec::MulAdd(from, scales, slopes * Vec::Load(positions + i));
      Vec::Store(values + i, value);
      largest = value > largest ? value : largest;
    }
    float lanes[Vec::kLanes];
    Vec::Store(lanes, largest);
    float result = lanes[0];
    for (const float lane : lanes) result = lane > result ? lane : result;
    return result;
  }

  // weights[i] = exp(values[i] - base), values[i] <= base; returns their sum.
  static float ExpAndSum(const float* values, int64_t length, float base, float* weights) {
    const Float bases = Vec::Set(base);
    Float sums = Vec::Set(0);
    for (int64_t i = 0; i < length; i += Vec::kLanes) {
      const Float weight = Exp(Vec::Load(values + i) - bases);
      Vec::Store(weights + i, weight);
      sums += weight;
    }
    float result[4];
    Vec::StoreSums(result, sums, sums, sums, sums);
    return result[0];
  }

  // exp(x) for one x <= 0, NaN, or -Inf, the same way as ExpAndSum.
  static float ExpOne(float x) {
    float lanes[Vec::kLanes];
    Vec::Store(lanes, Exp(Vec::Set(x)));
    return lanes[0];
  }

  // exp(x) for x <= 0, within 2 units in the last place; 0 where the result is no normal float; NaN
  // for NaN. exp(x) = 2^n * exp(r), n the integer nearest x / ln 2, so |r| <= ln(2) / 2, where the
  // Taylor series to r^7 errs by less than 1e-8.
  static Float Exp(Float x) {
    const Float kRound = Vec::Set(12582912.0f);  // 1.5 * 2^23: adding it leaves no fraction bits
    const Float shifted = Vec::MulAdd(x, Vec::Set(1.44269504f), kRound);
    const Float n = shifted - kRound;
    // ln 2 in two parts, the first with so few bits that n times it is exact.
    Float r = Vec::MulAdd(n, Vec::Set(-0.693359375f), x);
    r = Vec::MulAdd(n, Vec::Set(2.12194440e-4f), r);
    Float series = Vec::Set(1.0f / 5040);
    series = Vec::MulAdd(series, r, Vec::Set(1.0f / 720));
    series = Vec::MulAdd(series, r, Vec::Set(1.0f / 120));
    series = Vec::MulAdd(series, r, Vec::Set(1.0f / 24));
    series = Vec::MulAdd(series, r, Vec::Set(1.0f / 6));
    series = Vec::MulAdd(series, r, Vec::Set(0.5f));
    series = Vec::MulAdd(series, r, Vec::Set(1.0f));
    series = Vec::MulAdd(series, r, Vec::Set(1.0f));
    // Unsigned: where x is out of range this overflows, and the result is not used.
    const UInt power = ((UInt)shifted - (UInt)kRound) << 23;
    const Float result = (Float)((UInt)series + power);
    const Float zero = Vec::Set(0);
    const Float checked = x < Vec::Set(-87.0f) ? zero : result;
    return x == x ? checked : x;
  }
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_SOFTMAX_CPU_H_
