#include <array>
#include <cstring>
#include <vector>

#include "csrc/kernels/cache/gather_upconvert.h"
#include "csrc/kernels/cache/paged_runs_cpu.h"
#include "csrc/kernels/common/element_bits.h"
#include "csrc/kernels/common/fp8.h"
#include "csrc/kernels/mla/ds_mla_layout.h"

namespace stablekv {
namespace {

constexpr int64_t kRowBytes = (DsMlaLayout::kNopeElements + DsMlaLayout::kRopeElements) * 2;

// The value of every code.
std::array<float, 256> E4M3Values() {
  std::array<float, 256> values;
  for (size_t code = 0; code < values.size(); ++code) {
    values[code] = Fp8E4M3ToFloat(static_cast<uint8_t>(code));
  }
  return values;
}

// Any alignment of the token.
void UpconvertToken(const std::array<float, 256>& values, const uint8_t* token, uint16_t* row) {
  float scales[DsMlaLayout::kTiles];
  memcpy(scales, token + DsMlaLayout::kScalesAt, sizeof(scales));
  for (int64_t tile = 0; tile < DsMlaLayout::kTiles; ++tile) {
    const int64_t first = tile * DsMlaLayout::kTileElements;
    for (int64_t d = first; d < first + DsMlaLayout::kTileElements; ++d) {
      row[d] = FloatToElement<ElementType::kBFloat16>(values[token[d]] * scales[tile]);
    }
  }
  memcpy(row + DsMlaLayout::kNopeElements, token + DsMlaLayout::kRopeAt,
         DsMlaLayout::kRopeElements * 2);
}

}  // namespace

Status GatherUpconvertCpu(const GatherUpconvertParams& params, const RowStartsArg& starts,
                          ParallelFor parallel_for) {
  std::vector<PagedRun> runs;
  STABLEKV_RETURN_IF_ERROR(ListPagedRuns(params.rows, starts, &runs));
  static const std::array<float, 256> values = E4M3Values();
  ForEachRun(runs, kRowBytes, parallel_for, [&](const PagedRun& run) {
    const auto* token = static_cast<const uint8_t*>(params.from) + run.block * params.block_stride +
                        run.offset * params.token_stride;
    auto* row = static_cast<uint16_t*>(params.to) + run.first_row * params.row_stride;
    for (int64_t i = 0; i < run.count; ++i) {
      UpconvertToken(values, token, row);
      token += params.token_stride;
      row += params.row_stride;
    }
  });
  return Status();
}

}  // namespace stablekv
