#include <vector>

#include "csrc/kernels/cache/copy_runs_cpu.h"
#include "csrc/kernels/cache/gather_dequant.h"
#include "csrc/kernels/cache/gather_dequant_check_cpu.h"
#include "csrc/kernels/cache/paged_runs_cpu.h"
#include "csrc/kernels/common/element_bits.h"
#include "csrc/kernels/common/fp8.h"
#include "csrc/kernels/common/type_dispatch.h"

namespace stablekv {
namespace {

constexpr int kCodes = 256;

// What each fp8 code becomes: there are fewer codes than elements of a token.
template <ElementType kElement>
void FillTable(CacheType cache, float scale, ElementBits<kElement>* table) {
  for (int code = 0; code < kCodes; ++code) {
    const auto byte = static_cast<uint8_t>(code);
    const float value = cache == CacheType::kFp8E4M3 ? Fp8E4M3ToFloat(byte) : Fp8E5M2ToFloat(byte);
    table[code] = FloatToElement<kElement>(value * scale);
  }
}

template <ElementType kElement>
void Gather(const GatherDequantParams& params, const std::vector<PagedRun>& runs,
            ParallelFor parallel_for) {
  ElementBits<kElement> table[kCodes];
  FillTable<kElement>(params.cache, *params.scale, table);
  ForEachRun(
      runs, params.entry_size * SizeOf(params.element), parallel_for, [&](const PagedRun& run) {
        const auto* from = static_cast<const uint8_t*>(params.from) +
                           run.block * params.block_stride + run.offset * params.token_stride;
        auto* to =
            static_cast<ElementBits<kElement>*>(params.to) + run.first_row * params.row_stride;
        for (int64_t i = 0; i < run.count; ++i) {
          for (int64_t e = 0; e < params.entry_size; ++e) to[e] = table[from[e]];
          from += params.token_stride;
          to += params.row_stride;
        }
      });
}

}  // namespace

Status GatherDequantCpu(const GatherDequantParams& params, const RowStartsArg& starts,
                        ParallelFor parallel_for) {
  std::vector<PagedRun> runs;
  STABLEKV_RETURN_IF_ERROR(CheckGatherDequantValues(params, starts, &runs));
  if (params.cache == CacheType::kAuto) {
    CopyRuns(CopyOf(params), runs, parallel_for);
    return Status();
  }
  return ForElement("gather_dequant on the CPU", params.element, [&](auto element) {
    Gather<element.value>(params, runs, parallel_for);
    return Status();
  });
}

}  // namespace stablekv
