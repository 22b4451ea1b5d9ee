#include "csrc/kernels/cache/convert_fp8.h"
#include "csrc/kernels/cache/fp8_rows_cpu.h"
#include "csrc/kernels/common/cpu_isa.h"
#include "csrc/kernels/common/element_bits.h"
#include "csrc/kernels/common/fp8.h"
#include "csrc/kernels/common/type_dispatch.h"

namespace stablekv {
namespace {

constexpr int64_t kGrain = 32 * 1024;  // elements: worth another thread's while
constexpr int kCodes = 256;

void Encode(const ConvertFp8Params& params, ParallelFor parallel_for) {
  const EncodeFp8 encode = FindEncodeFp8(params.element, params.cache, BestCpuIsa());
  const auto* const from = static_cast<const uint8_t*>(params.elements);
  auto* const to = static_cast<uint8_t*>(params.fp8);
  const int64_t size = SizeOf(params.element);
  RunParallel(parallel_for, params.count, kGrain, [&](int64_t begin, int64_t end) {
    encode(from + begin * size, end - begin, params.scale, to + begin);
  });
}

template <ElementType kElement>
void Decode(const ConvertFp8Params& params, ParallelFor parallel_for) {
  ElementBits<kElement> table[kCodes];
  for (int code = 0; code < kCodes; ++code) {
    const auto byte = static_cast<uint8_t>(code);
    const bool e4m3 = params.cache == CacheType::kFp8E4M3;
    const float value = e4m3 ? Fp8E4M3ToFloat(byte) : Fp8E5M2ToFloat(byte);
    table[code] = FloatToElement<kElement>(value * params.scale);
  }
  const auto* const from = static_cast<const uint8_t*>(params.fp8);
  auto* const to = static_cast<ElementBits<kElement>*>(params.elements);
  RunParallel(parallel_for, params.count, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) to[i] = table[from[i]];
  });
}

}  // namespace

Status ConvertFp8Cpu(const ConvertFp8Params& params, ParallelFor parallel_for) {
  if (params.to_fp8) {
    Encode(params, parallel_for);
    return Status();
  }
  return ForElement("convert_fp8 on the CPU", params.element, [&](auto element) {
    Decode<element.value>(params, parallel_for);
    return Status();
  });
}

}  // namespace stablekv
