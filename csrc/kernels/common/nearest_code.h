// Test helper: rounds a float to a narrow format by searching the values of all its codes, so that
// the formats' bit arithmetic is checked against something that shares nothing with it.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_NEAREST_CODE_H_
#define STABLEKV_CSRC_KERNELS_COMMON_NEAREST_CODE_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace stablekv::testing {

struct Format {
  int exponent_bits;
  int fraction_bits;
  int code_bits() const { return 1 + exponent_bits + fraction_bits; }
  int bias() const { return (1 << (exponent_bits - 1)) - 1; }
};

// The finite value that positive `code` has if the format had no Inf and NaN at all.
inline double ValueOfCode(Format format, uint32_t code) {
  const uint32_t exponent = code >> format.fraction_bits;
  const double fraction =
      std::ldexp(code & ((1u << format.fraction_bits) - 1), -format.fraction_bits);
  const int power = static_cast<int>(std::max(exponent, 1u)) - format.bias();
  return std::ldexp(exponent == 0 ? fraction : 1 + fraction, power);
}

// Codes 0 .. max_code are finite. `overflow_code` is for what rounds past max_code.
class NearestCode {
 public:
  NearestCode(Format format, uint32_t max_code, uint32_t overflow_code)
      : format_(format), overflow_code_(overflow_code) {
    for (uint32_t code = 0; code <= max_code + 1; ++code) {  // one more, to round towards
      values_.push_back(ValueOfCode(format, code));
    }
  }

  // For any x but NaN.
  uint32_t operator()(double x) const {
    const double magnitude = std::fabs(x);
    uint32_t code = overflow_code_;
    if (magnitude < values_.back()) {
      const auto above = std::upper_bound(values_.begin(), values_.end(), magnitude);
      const auto high = static_cast<uint32_t>(above - values_.begin());
      const double to_low = magnitude - values_[high - 1];
      const double to_high = values_[high] - magnitude;
      const bool take_low = to_low < to_high || (to_low == to_high && (high - 1) % 2 == 0);
      code = take_low ? high - 1 : high;
      if (code + 1 == values_.size()) code = overflow_code_;
    }
    return code | (std::signbit(x) ? 1u << (format_.code_bits() - 1) : 0u);
  }

  // Finite values, ascending, then one past the largest.
  const std::vector<double>& values() const { return values_; }

 private:
  Format format_;
  uint32_t overflow_code_;
  std::vector<double> values_;
};

// Floats worth trying: each value of the format, each midpoint, their neighbours, both signs, and a
// sweep of all exponents with varied fractions, Inf included, NaN excluded.
inline std::vector<float> FloatsToTry(const NearestCode& nearest) {
  std::vector<float> floats;
  const auto add = [&floats](double x) {
    const auto middle = static_cast<float>(x);
    for (const float f : {middle, std::nextafter(middle, 0.0f), std::nextafter(middle, INFINITY)}) {
      floats.push_back(f);
      floats.push_back(-f);
    }
  };
  const std::vector<double>& values = nearest.values();
  for (size_t i = 0; i < values.size(); ++i) {
    add(values[i]);
    if (i > 0) add((values[i - 1] + values[i]) / 2);
  }
  uint32_t seed = 12345;
  for (uint32_t upper = 0; upper <= 0x7F7; ++upper) {  // sign 0, exponent and 3 fraction bits
    for (int i = 0; i < 64; ++i) {
      seed = seed * 1664525 + 1013904223;
      const uint32_t bits = (upper << 20) | (seed >> 12);
      float f;
      static_assert(sizeof(f) == sizeof(bits));
      std::copy_n(reinterpret_cast<const char*>(&bits), sizeof(f), reinterpret_cast<char*>(&f));
      floats.push_back(f);
      floats.push_back(-f);
    }
  }
  floats.push_back(INFINITY);
  floats.push_back(-INFINITY);
  return floats;
}

}  // namespace stablekv::testing

#endif  // STABLEKV_CSRC_KERNELS_COMMON_NEAREST_CODE_H_
