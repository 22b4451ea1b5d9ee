#include "csrc/kernels/cache/fp8_rows_cpu.h"

#include <cstdint>
#include <cstring>
#include <iostream>
#include <vector>

#include "csrc/kernels/common/bfloat16.h"
#include "csrc/kernels/common/float16.h"
#include "csrc/kernels/common/float_bits.h"
#include "csrc/kernels/common/fp8.h"
#include "csrc/kernels/common/testing.h"

namespace stablekv {
namespace {

uint8_t Expected(CacheType cache, float quotient) {
  return cache == CacheType::kFp8E4M3 ? FloatToFp8E4M3(quotient) : FloatToFp8E5M2(quotient);
}

// Every 16-bit code, or as many floats that differ in their upper 16 bits and have varied lower
// ones, of which a part are the ties and their neighbours.
std::vector<uint32_t> Codes(ElementType element, uint32_t lower) {
  std::vector<uint32_t> codes(65536);
  for (uint32_t i = 0; i < codes.size(); ++i) {
    codes[i] = element == ElementType::kFloat32 ? (i << 16) | lower : i;
  }
  return codes;
}

void CheckCodes(ElementType element, CacheType cache, CpuIsa isa, uint32_t lower, float scale) {
  const std::vector<uint32_t> codes = Codes(element, lower);
  const auto bytes = static_cast<size_t>(SizeOf(element));
  std::vector<uint8_t> from(1 + codes.size() * bytes);  // an odd address
  for (size_t i = 0; i < codes.size(); ++i) memcpy(&from[1 + i * bytes], &codes[i], bytes);
  std::vector<uint8_t> got(codes.size());
  FindEncodeFp8(element, cache, isa)(&from[1], static_cast<int64_t>(codes.size()), scale,
                                     got.data());
  for (size_t i = 0; i < codes.size(); ++i) {
    const float value = element == ElementType::kFloat32 ? BitsToFloat(codes[i])
                        : element == ElementType::kFloat16
                            ? Float16ToFloat(static_cast<uint16_t>(codes[i]))
                            : BFloat16ToFloat(static_cast<uint16_t>(codes[i]));
    CHECK_EQUAL(got[i], Expected(cache, value / scale),
                NameOf(isa) << " " << value << " / " << scale << " bits " << codes[i]);
  }
}

// Quotients halfway between two codes, where the last bit of the division decides: a product with
// 1 / scale would be told from it here.
void CheckHalfwayQuotients(CacheType cache, CpuIsa isa) {
  std::vector<float> halfway;
  for (int code = 0; code < kFp8E5M2Max; ++code) {
    const auto low = static_cast<uint8_t>(code);
    const auto high = static_cast<uint8_t>(code + 1);
    halfway.push_back(cache == CacheType::kFp8E4M3
                          ? (Fp8E4M3ToFloat(low) + Fp8E4M3ToFloat(high)) / 2
                          : (Fp8E5M2ToFloat(low) + Fp8E5M2ToFloat(high)) / 2);
  }
  for (int i = 1; i <= 200; ++i) {
    const float scale = 0.01f + 0.0137f * static_cast<float>(i);
    std::vector<float> from;
    for (const float quotient : halfway) from.push_back(quotient * scale);
    std::vector<uint8_t> got(from.size());
    FindEncodeFp8(ElementType::kFloat32, cache, isa)(reinterpret_cast<const uint8_t*>(from.data()),
                                                     static_cast<int64_t>(from.size()), scale,
                                                     got.data());
    for (size_t j = 0; j < from.size(); ++j) {
      CHECK_EQUAL(got[j], Expected(cache, from[j] / scale),
                  NameOf(isa) << " " << from[j] << " / " << scale);
    }
  }
}

// Rows shorter than a vector, and not a byte past their end.
void CheckLengths(CpuIsa isa) {
  const std::vector<float> from(40, 3.0f);
  for (int64_t count = 0; count <= 40; ++count) {
    std::vector<uint8_t> to(41, 0xEE);
    FindEncodeFp8(ElementType::kFloat32, CacheType::kFp8E4M3, isa)(
        reinterpret_cast<const uint8_t*>(from.data()), count, 1.0f, to.data());
    for (int64_t i = 0; i < 41; ++i) {
      CHECK_EQUAL(to[static_cast<size_t>(i)], i < count ? FloatToFp8E4M3(3.0f) : 0xEE,
                  NameOf(isa) << " count " << count << " at " << i);
    }
  }
}

}  // namespace
}  // namespace stablekv

int main() {
  using namespace stablekv;
  for (const CpuIsa isa : kCpuIsas) {
    std::cerr << NameOf(isa)
              << (HasCpuIsa(isa) ? ": tested\n" : ": not tested, not on this machine\n");
    if (!HasCpuIsa(isa)) continue;
    for (const CacheType cache : {CacheType::kFp8E4M3, CacheType::kFp8E5M2}) {
      for (const uint32_t lower : {0u, 1u, 0x7FFFu, 0x8000u, 0x8001u, 0xFFFFu}) {
        CheckCodes(ElementType::kFloat32, cache, isa, lower, 1.0f);
      }
      CheckHalfwayQuotients(cache, isa);
      for (const float scale : {1.0f, 0.0371f, -3e-3f, 0.0f}) {
        CheckCodes(ElementType::kFloat32, cache, isa, 0x1234, scale);
        CheckCodes(ElementType::kFloat16, cache, isa, 0, scale);
        CheckCodes(ElementType::kBFloat16, cache, isa, 0, scale);
      }
    }
    CheckLengths(isa);
  }
  return testing::Finish();
}
