#include <cstring>

#include "csrc/kernels/attention/attn_weights.h"
#include "csrc/kernels/attention/merge_attn_states.h"
#include "csrc/kernels/common/element_bits.h"
#include "csrc/kernels/common/fp8.h"
#include "csrc/kernels/common/type_dispatch.h"

namespace stablekv {
namespace {

constexpr int64_t kGrainBytes = 64 * 1024;  // worth handing to another thread

// One token of one head.
template <ElementType kElement>
struct Row {
  using Bits = ElementBits<kElement>;
  const Bits* prefix;
  const Bits* suffix;
  int64_t size;
  AttnWeights weights;

  // Element `d`, unrounded.
  float Value(int64_t d) const {
    if (weights.source == AttnSource::kPrefix) return ElementToFloat<kElement>(prefix[d]);
    if (weights.source == AttnSource::kSuffix) return ElementToFloat<kElement>(suffix[d]);
    return ElementToFloat<kElement>(prefix[d]) * weights.prefix +
           ElementToFloat<kElement>(suffix[d]) * weights.suffix;
  }

  void Store(Bits* to) const {
    if (weights.source != AttnSource::kBoth) {
      const Bits* from = weights.source == AttnSource::kPrefix ? prefix : suffix;
      memcpy(to, from, static_cast<size_t>(size) * sizeof(Bits));
      return;
    }
    for (int64_t d = 0; d < size; ++d) to[d] = FloatToElement<kElement>(Value(d));
  }

  void StoreFp8(uint8_t* to, float inverse_scale) const {
    for (int64_t d = 0; d < size; ++d) to[d] = FloatToFp8E4M3(Value(d) * inverse_scale);
  }
};

template <ElementType kElement>
void Merge(const MergeAttnStatesParams& params, ParallelFor parallel_for) {
  using Bits = ElementBits<kElement>;
  const bool fp8 = params.output_scale != nullptr;
  const float inverse_scale = fp8 ? 1.0f / *params.output_scale : 1.0f;
  const auto merge_row = [&](int64_t token, int64_t head) {
    const auto at = [&](const auto& states) {
      return token * states.token_stride + head * states.head_stride;
    };
    const Row<kElement> row{static_cast<const Bits*>(params.prefix.data) + at(params.prefix),
                            static_cast<const Bits*>(params.suffix.data) + at(params.suffix),
                            params.head_size, WeightsOf(params, token, head)};
    if (fp8) {
      row.StoreFp8(static_cast<uint8_t*>(params.output.data) + at(params.output), inverse_scale);
    } else {
      row.Store(static_cast<Bits*>(params.output.data) + at(params.output));
    }
    if (params.output_lse.data != nullptr) {
      params.output_lse.data[at(params.output_lse)] = row.weights.lse;
    }
  };
  const int64_t row_bytes = 3 * params.head_size * SizeOf(params.element) + 1;
  RunParallel(parallel_for, params.num_tokens * params.num_heads, kGrainBytes / row_bytes + 1,
              [&](int64_t begin, int64_t end) {
                for (int64_t i = begin; i < end; ++i) {
                  merge_row(i / params.num_heads, i % params.num_heads);
                }
              });
}

}  // namespace

Status MergeAttnStatesCpu(const MergeAttnStatesParams& params, ParallelFor parallel_for) {
  if (params.num_tokens == 0 || params.num_heads == 0) return Status();
  return ForElement("merge_attn_states on the CPU", params.element, [&](auto element) {
    Merge<element.value>(params, parallel_for);
    return Status();
  });
}

}  // namespace stablekv
