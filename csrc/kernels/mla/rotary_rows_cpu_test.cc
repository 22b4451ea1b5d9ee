#include "csrc/kernels/mla/rotary_rows_cpu.h"

#include <cmath>
#include <cstring>
#include <iostream>
#include <vector>

#include "csrc/kernels/common/bfloat16.h"
#include "csrc/kernels/common/float16.h"
#include "csrc/kernels/common/testing.h"

namespace stablekv {
namespace {

float Value(ElementType element, uint32_t bits) {
  if (element == ElementType::kFloat32) return BitsToFloat(bits);
  return element == ElementType::kFloat16 ? Float16ToFloat(static_cast<uint16_t>(bits))
                                          : BFloat16ToFloat(static_cast<uint16_t>(bits));
}

uint32_t Nearest(ElementType element, float value) {
  if (std::isnan(value)) return element == ElementType::kFloat32 ? 0x7FFFFFFF : 0x7FFF;
  if (element == ElementType::kFloat32) return FloatToBits(value);
  return element == ElementType::kFloat16 ? FloatToFloat16(value) : FloatToBFloat16(value);
}

// A volatile product cannot become a part of a fused multiply-add.
float Rounded(ElementType element, float a, float b) {
  volatile float product = a * b;
  return Value(element, Nearest(element, product));
}

uint32_t Bits(const std::vector<uint8_t>& row, size_t at, size_t bytes) {
  uint32_t bits = 0;
  memcpy(&bits, row.data() + at, bytes);
  return bits;
}

// Rotates rows of arbitrary bits, all codes of the type among them, at an odd address.
void CheckRows(ElementType element, CpuIsa isa, int64_t num_pairs, bool is_neox, uint32_t seed) {
  const auto bytes = static_cast<size_t>(SizeOf(element));
  const auto pairs = static_cast<size_t>(num_pairs);
  const auto next = [&seed] { return (seed = seed * 1664525 + 1013904223) >> 8; };
  std::vector<uint8_t> row(1 + 2 * pairs * bytes + 1);
  for (uint8_t& byte : row) byte = static_cast<uint8_t>(next());
  std::vector<float> cos((pairs + 7) / 8 * 8);
  std::vector<float> sin(cos.size());
  for (size_t i = 0; i < pairs; ++i) {
    cos[i] = Value(element, Nearest(element, std::cos(static_cast<float>(next()))));
    sin[i] = Value(element, Nearest(element, std::sin(static_cast<float>(next()))));
  }
  if (pairs > 3) cos[3] = INFINITY;

  std::vector<uint8_t> want = row;
  for (size_t j = 0; j < pairs; ++j) {
    const size_t x_at = 1 + (is_neox ? j : 2 * j) * bytes;
    const size_t y_at = 1 + (is_neox ? j + pairs : 2 * j + 1) * bytes;
    const float x = Value(element, Bits(row, x_at, bytes));
    const float y = Value(element, Bits(row, y_at, bytes));
    const uint32_t new_x =
        Nearest(element, Rounded(element, x, cos[j]) - Rounded(element, y, sin[j]));
    const uint32_t new_y =
        Nearest(element, Rounded(element, y, cos[j]) + Rounded(element, x, sin[j]));
    memcpy(want.data() + x_at, &new_x, bytes);
    memcpy(want.data() + y_at, &new_y, bytes);
  }
  FindRotateRow(element, isa)({cos.data(), sin.data(), num_pairs, is_neox}, row.data() + 1);
  CHECK_THAT(row == want, NameOf(isa) << " type " << static_cast<int>(element) << " pairs "
                                      << num_pairs << (is_neox ? " neox" : ""));
}

}  // namespace
}  // namespace stablekv

int main() {
  using namespace stablekv;
  for (const CpuIsa isa : kCpuIsas) {
    std::cerr << NameOf(isa)
              << (HasCpuIsa(isa) ? ": tested\n" : ": not tested, not on this machine\n");
    if (!HasCpuIsa(isa)) continue;
    for (const ElementType element :
         {ElementType::kFloat32, ElementType::kFloat16, ElementType::kBFloat16}) {
      for (const bool is_neox : {false, true}) {
        for (int64_t num_pairs = 0; num_pairs <= 40; ++num_pairs) {
          CheckRows(element, isa, num_pairs, is_neox, static_cast<uint32_t>(num_pairs));
        }
        for (uint32_t seed = 0; seed < 40; ++seed) CheckRows(element, isa, 4096, is_neox, seed);
      }
    }
  }
  return testing::Finish();
}
