#include <cstdint>
#include <cstring>
#include <vector>

#include "csrc/kernels/common/bfloat16.h"
#include "csrc/kernels/common/cpu_isa.h"
#include "csrc/kernels/common/float16.h"
#include "csrc/kernels/common/slot_mapping.h"
#include "csrc/kernels/mla/concat_and_cache_mla_rope_fused.h"
#include "csrc/kernels/mla/concat_and_cache_mla_rope_fused_check_cpu.h"
#include "csrc/kernels/mla/rotary_rows_cpu.h"
#include "csrc/kernels/mla/store_row_cpu.h"
#include "csrc/kernels/mla/token_grain_cpu.h"

namespace stablekv {
namespace {

float ElementAt(const uint8_t* elements, int64_t i, ElementType element) {
  if (element == ElementType::kFloat32) {
    float value;
    memcpy(&value, elements + i * 4, sizeof(value));
    return value;
  }
  uint16_t bits;
  memcpy(&bits, elements + i * 2, sizeof(bits));
  return element == ElementType::kFloat16 ? Float16ToFloat(bits) : BFloat16ToFloat(bits);
}

// The cosines and sines of one position at a time.
class PositionTable {
 public:
  explicit PositionTable(const ConcatAndCacheMlaRopeFusedParams& params)
      : params_(params),
        num_pairs_(params.pe_dim / 2),
        padded_(static_cast<size_t>((num_pairs_ + 7) / 8 * 8)),
        values_(2 * padded_) {}

  RotaryPosition At(int64_t position) {
    const uint8_t* const row = static_cast<const uint8_t*>(params_.cos_sin_cache) +
                               position * params_.cos_sin_stride * SizeOf(params_.element);
    float* const cos = values_.data();
    float* const sin = cos + padded_;
    for (int64_t i = 0; i < num_pairs_; ++i) {
      cos[i] = ElementAt(row, i, params_.element);
      sin[i] = ElementAt(row, num_pairs_ + i, params_.element);
    }
    return {cos, sin, num_pairs_, params_.is_neox};
  }

 private:
  const ConcatAndCacheMlaRopeFusedParams& params_;
  int64_t num_pairs_;
  size_t padded_;
  std::vector<float> values_;
};

void WriteToken(const ConcatAndCacheMlaRopeFusedParams& params, int64_t token, int64_t slot,
                const RotaryPosition& position, RotateRow rotate, const StoreRow& store) {
  const int64_t element_bytes = SizeOf(params.element);
  const int64_t cache_bytes = SizeOf(params.cache, params.element);
  uint8_t* const q =
      static_cast<uint8_t*>(params.q_pe) + token * params.q_pe_token_stride * element_bytes;
  for (int64_t head = 0; head < params.num_heads; ++head) {
    rotate(position, q + head * params.q_pe_head_stride * element_bytes);
  }
  uint8_t* const k =
      static_cast<uint8_t*>(params.k_pe) + token * params.k_pe_stride * element_bytes;
  rotate(position, k);

  const SlotPlace place = PlaceOfSlot(slot, params.block_size);
  uint8_t* const cache =
      static_cast<uint8_t*>(params.kv_cache) +
      (place.block * params.cache_block_stride + place.offset * params.cache_token_stride) *
          cache_bytes;
  store(static_cast<const uint8_t*>(params.kv_c) + token * params.kv_c_stride * element_bytes,
        params.kv_lora_rank, cache);
  store(k, params.pe_dim, cache + params.kv_lora_rank * cache_bytes);
}

}  // namespace

Status ConcatAndCacheMlaRopeFusedCpu(const ConcatAndCacheMlaRopeFusedParams& params,
                                     ParallelFor parallel_for) {
  STABLEKV_RETURN_IF_ERROR(CheckConcatAndCacheMlaRopeFusedValues(params));
  const RotateRow rotate = FindRotateRow(params.element, BestCpuIsa());
  const StoreRow store(params.element, params.cache, params.scale);
  const int64_t token_bytes =
      ((params.num_heads + 1) * params.pe_dim + params.kv_lora_rank) * SizeOf(params.element);
  RunParallel(parallel_for, params.num_tokens, GrainOf(token_bytes),
              [&](int64_t begin, int64_t end) {
                PositionTable table(params);
                for (int64_t token = begin; token < end; ++token) {
                  const int64_t slot = params.slot_mapping[token];
                  if (slot < 0) continue;
                  WriteToken(params, token, slot, table.At(params.positions[token]), rotate, store);
                }
              });
  return Status();
}

}  // namespace stablekv
