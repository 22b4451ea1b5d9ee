// convert_fp8 on CUDA against the CPU, both ways: all bytes, and those behind the destination.
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "csrc/kernels/cache/convert_fp8.h"
#include "csrc/kernels/common/cuda/test_inputs.h"
#include "csrc/kernels/common/cuda/test_support.h"

namespace stablekv::testing {
namespace {

struct Case {
  ElementType element;
  CacheType cache;
  bool to_fp8;
  int64_t count;
  float scale;
  int64_t misalign;  // elements that both sides are off 16-byte alignment
};

std::string Describe(const Case& c) {
  return std::string(Name(c.element)) + (c.to_fp8 ? " to " : " from ") + Name(c.cache) + " of " +
         std::to_string(c.count) + " scale " + std::to_string(c.scale) + " off" +
         std::to_string(c.misalign);
}

// Every code, over and over.
std::vector<uint8_t> Codes(int64_t count) {
  std::vector<uint8_t> codes(count);
  for (int64_t i = 0; i < count; ++i) codes[i] = static_cast<uint8_t>(i);
  return codes;
}

void Run(const Case& c) {
  constexpr int64_t kBehind = 5;  // elements
  Random random(c.count * 17 + c.misalign);
  const int64_t bytes = SizeOf(c.element);
  const int64_t size = c.count + kBehind;
  std::vector<uint8_t> elements = c.to_fp8
                                      ? RandomElements(c.element, c.cache, size, c.scale, &random)
                                      : RandomBytes(size * bytes, &random);
  std::vector<uint8_t> fp8 = c.to_fp8 ? RandomBytes(size, &random) : Codes(size);
  const DeviceBytes device_elements(elements, c.misalign * bytes);
  const DeviceBytes device_fp8(fp8, c.misalign);

  ConvertFp8Params params = {};
  params.elements = device_elements.data();
  params.fp8 = device_fp8.data();
  params.count = c.count;
  params.scale = c.scale;
  params.element = c.element;
  params.cache = c.cache;
  params.to_fp8 = c.to_fp8;
  const Status status = ConvertFp8Cuda(params, nullptr);
  Expect(status.ok(), Describe(c) + ": " + status.message());

  params.elements = elements.data();
  params.fp8 = fp8.data();
  const Status on_cpu = ConvertFp8Cpu(params, &SerialFor);
  Expect(on_cpu.ok(), Describe(c) + ": on the CPU: " + on_cpu.message());
  Expect(device_elements.Read() == elements, Describe(c) + ": elements differ");
  Expect(device_fp8.Read() == fp8, Describe(c) + ": fp8 differ");
}

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const ElementType element : kElements) {
    for (const CacheType cache : {CacheType::kFp8E4M3, CacheType::kFp8E5M2}) {
      for (const bool to_fp8 : {false, true}) {
        for (const int64_t count : {0, 1, 3, 4, 1000, 5003}) {
          for (const int64_t misalign : {0, 1, 4}) {
            cases.push_back({element, cache, to_fp8, count, 0.0371f, misalign});
          }
        }
        for (const float scale : {1.0f, -3e-3f, 3e38f, 1e-42f, 0.0f, INFINITY, NAN}) {
          cases.push_back({element, cache, to_fp8, 777, scale, 0});
        }
      }
    }
  }
  return cases;
}

}  // namespace
}  // namespace stablekv::testing

int main() {
  namespace t = stablekv::testing;
  return t::RunCases("convert_fp8_cuda_test", &t::Cases, &t::Run);
}
