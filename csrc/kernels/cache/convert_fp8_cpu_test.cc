// The CPU kernel against one conversion after the other.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "csrc/kernels/cache/convert_fp8.h"
#include "csrc/kernels/common/element_bits.h"
#include "csrc/kernels/common/fp8.h"
#include "csrc/kernels/common/testing.h"

namespace stablekv {
namespace {

constexpr uint8_t kUntouched = 0xAB;
constexpr int64_t kBehind = 3;  // elements

ConvertFp8Params ParamsOf(ElementType element, CacheType cache, float scale, bool to_fp8,
                          std::vector<uint8_t>* elements, std::vector<uint8_t>* fp8) {
  const int64_t count = static_cast<int64_t>(fp8->size()) - kBehind;
  return {elements->data(), fp8->data(), count, scale, element, cache, to_fp8};
}

template <ElementType kElement>
void TestToFp8(CacheType cache, int64_t count, float scale, ParallelFor parallel_for) {
  const auto size = static_cast<size_t>(count + kBehind);
  std::vector<uint8_t> elements(size * sizeof(ElementBits<kElement>));
  std::vector<uint8_t> fp8(size, kUntouched);
  std::vector<uint8_t> want = fp8;
  const float specials[] = {NAN, INFINITY, -INFINITY, -0.0f, 1e-6f, 6e4f};
  for (size_t i = 0; i < size; ++i) {
    const float x = i % 9 < 6 && i % 2 == 0 ? specials[i % 9] : 0.37f * static_cast<float>(i) - 99;
    const ElementBits<kElement> bits = FloatToElement<kElement>(x);
    memcpy(&elements[i * sizeof(bits)], &bits, sizeof(bits));
    const float quotient = ElementToFloat<kElement>(bits) / scale;
    if (i + kBehind < size) {
      want[i] = cache == CacheType::kFp8E4M3 ? FloatToFp8E4M3(quotient) : FloatToFp8E5M2(quotient);
    }
  }
  CHECK_OK(ConvertFp8Cpu(ParamsOf(kElement, cache, scale, true, &elements, &fp8), parallel_for),
           "");
  CHECK_THAT(fp8 == want, "to fp8, " << count << " elements, scale " << scale);
}

template <ElementType kElement>
void TestFromFp8(CacheType cache, int64_t count, float scale, ParallelFor parallel_for) {
  const auto size = static_cast<size_t>(count + kBehind);
  std::vector<uint8_t> elements(size * sizeof(ElementBits<kElement>), kUntouched);
  std::vector<uint8_t> fp8(size);
  std::vector<uint8_t> want = elements;
  for (size_t i = 0; i < size; ++i) {
    fp8[i] = static_cast<uint8_t>(i);
    const float value =
        cache == CacheType::kFp8E4M3 ? Fp8E4M3ToFloat(fp8[i]) : Fp8E5M2ToFloat(fp8[i]);
    const ElementBits<kElement> bits = FloatToElement<kElement>(value * scale);
    if (i + kBehind < size) memcpy(&want[i * sizeof(bits)], &bits, sizeof(bits));
  }
  CHECK_OK(ConvertFp8Cpu(ParamsOf(kElement, cache, scale, false, &elements, &fp8), parallel_for),
           "");
  CHECK_THAT(elements == want, "from fp8, " << count << " elements, scale " << scale);
}

template <ElementType kElement>
void TestElement() {
  for (const CacheType cache : {CacheType::kFp8E4M3, CacheType::kFp8E5M2}) {
    for (const int64_t count : {0, 1, 31, 256, 1003}) {
      for (const float scale : {1.0f, 0.0371f, -3e-3f, 0.0f}) {
        for (const ParallelFor parallel_for : {&SerialFor, &testing::BackwardsFor<50>}) {
          TestToFp8<kElement>(cache, count, scale, parallel_for);
          TestFromFp8<kElement>(cache, count, scale, parallel_for);
        }
      }
    }
  }
}

}  // namespace
}  // namespace stablekv

int main() {
  stablekv::TestElement<stablekv::ElementType::kFloat32>();
  stablekv::TestElement<stablekv::ElementType::kFloat16>();
  stablekv::TestElement<stablekv::ElementType::kBFloat16>();
  return stablekv::testing::Finish();
}
