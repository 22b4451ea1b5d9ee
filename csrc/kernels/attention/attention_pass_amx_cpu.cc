#ifdef __x86_64__

#include "csrc/kernels/attention/attention_pass_amx_cpu.h"

#include <cstdint>

#include "csrc/kernels/attention/attention_blocks_cpu.h"
#include "csrc/kernels/attention/attention_keys_amx_cpu.h"
#include "csrc/kernels/attention/attention_pass_cpu.h"
#include "csrc/kernels/attention/attention_plan_cpu.h"
#include "csrc/kernels/attention/attention_softmax_cpu.h"
#include "csrc/kernels/attention/attention_tiles_amx_cpu.h"
#include "csrc/kernels/attention/attention_values_amx_cpu.h"
#include "csrc/kernels/attention/attention_weights_amx_cpu.h"
#include "csrc/kernels/common/vec_amx.h"
#include "csrc/kernels/common/vec_avx512_vbmi.h"
#include "csrc/kernels/common/vec_format.h"

namespace stablekv {
namespace {

using amx::TileShapes;
using amx::Vec;

// Keys or values of a kv head that are worked on at a time. As many bytes are fetched into the
// core's second-level cache meanwhile.
constexpr int64_t kPortionBytes = 128 * 1024;

int64_t PortionBlocks(const AttentionPlan& plan) {
  const int64_t block_size = plan.params.block_size;
  const int64_t blocks = kPortionBytes / (plan.params.head_size * block_size * plan.cache_bytes);
  const int64_t most = kAmxTokens / block_size;
  return blocks < 1 ? 1 : blocks < most ? blocks : most;
}

// The blocks from `first` on, as many as are worked on at a time or as there are.
BlockList PortionOf(const AttentionPlan& plan, BlockList blocks, int64_t first) {
  const int64_t most = PortionBlocks(plan);
  blocks.places += first;
  blocks.count -= first;
  if (blocks.count > most) {
    blocks.count = most;
    blocks.last_tokens = plan.params.block_size;
  }
  return blocks;
}

// Adds `from`, brought to the larger of the two maxima, to `to`.
void Merge(int64_t heads, int64_t head_size, const AttentionSums& from, const AttentionSums& to) {
  using Softmax = AttentionSoftmax<Vec>;
  for (int64_t h = 0; h < heads; ++h) {
    const float max = from.max[h] > to.max[h] ? from.max[h] : to.max[h];
    const float base = max == kMinusInfinity ? 0 : max;
    const float from_scale = Softmax::ExpOne(from.max[h] - base);
    const float to_scale = Softmax::ExpOne(to.max[h] - base);
    to.max[h] = max;
    to.sum[h] = to.sum[h] * to_scale + from.sum[h] * from_scale;
    float* const out = to.out + h * head_size;
    for (int64_t d = 0; d < head_size; ++d) {
      out[d] = out[d] * to_scale + from.out[h * head_size + d] * from_scale;
    }
  }
}

// AttentionPassImpl with tiles.
class Pass {
 public:
  explicit Pass(const AttentionPlan& plan) : plan_(plan), params_(plan.params) {}

  // One kv head after the other, portion by portion.
  template <VecFormat kFormat>
  void Run(int64_t seq, int64_t head, int64_t heads, const BlockList& blocks, const BlockList& next,
           const AttentionSums& sums) {
    const auto run = params_.block_size == 8    ? &Pass::RunPortion<kFormat, 8>
                     : params_.block_size == 16 ? &Pass::RunPortion<kFormat, 16>
                                                : &Pass::RunPortion<kFormat, 32>;
    const AttentionSums more{more_out_, more_max_, more_sum_};
    BlockList one = blocks;
    one.kv_heads = 1;
    for (int64_t k = 0; k < blocks.kv_heads; ++k) {
      BlockList following = one;
      ++following.kv_head;
      if (k + 1 == blocks.kv_heads) following = next;
      const AttentionSums all{sums.out + k * heads * params_.head_size, sums.max + k * heads,
                              sums.sum + k * heads};
      for (int64_t first = 0, second; first < one.count; first = second) {
        second = first + PortionBlocks(plan_);
        (this->*run)(
            seq, head + k * heads, heads, PortionOf(plan_, one, first),
            second < one.count ? PortionOf(plan_, one, second) : PortionOf(plan_, following, 0),
            first == 0 ? all : more);
        if (first > 0) Merge(heads, params_.head_size, more, all);
      }
      one = following;
    }
  }

 private:
  using Blocks = AttentionBlocks<Vec>;

  // A portion of a kv head. While its values are added up, the keys of `next` are fetched.
  template <VecFormat kFormat, int kBlock>
  void RunPortion(int64_t seq, int64_t head, int64_t heads, const BlockList& blocks,
                  const BlockList& next, const AttentionSums& sums) {
    const int64_t columns = heads <= 8 ? 8 : 16;
    const int64_t tokens = (blocks.count - 1) * kBlock + blocks.last_tokens;
    const int64_t block_bytes = params_.head_size * kBlock * BytesOf(kFormat);
    Blocks::FindKeys(plan_, blocks, keys_);
    Blocks::FindValues(plan_, blocks, values_);
    LoadQueries(seq, head, heads, columns);
    AmxFetch<kFormat> values_fetch(values_, blocks.count, block_bytes);
    {
      using Keys = AttentionKeysAmx<kFormat, kBlock>;
      const TileShapes shapes(Keys::kTileTokens, static_cast<int>(columns));
      Keys::Run(keys_, blocks.count, params_.head_size, queries_, QueryParts(), columns, scores_,
                &values_fetch);
    }
    if (columns == 8) {
      FindWeights<8>(seq, head, heads, blocks, tokens, sums, &values_fetch);
    } else {
      FindWeights<16>(seq, head, heads, blocks, tokens, sums, &values_fetch);
    }

    // While the values are added up, the next keys come in: `keys_` is free for their places.
    Blocks::FindKeys(plan_, next, keys_);
    if (blocks.last_tokens < kBlock) {
      constexpr int64_t kBytes = BytesOf(kFormat);
      Blocks::CopyRowStarts<kBlock * kBytes>(values_[blocks.count - 1], params_.head_size,
                                             blocks.last_tokens * kBytes, last_values_);
      values_[blocks.count - 1] = last_values_;
    }
    {
      using Values = AttentionValuesAmx<kFormat, kBlock>;
      const TileShapes shapes(Values::kRows, static_cast<int>(Values::kColumns));
      AmxFetch<kFormat> fetch(keys_, next.count, block_bytes);
      Values::Run(values_, blocks.count, params_.head_size, weights_, columns / 8, columns_,
                  &fetch);
    }
    if (columns == 8) {
      WriteSums<8>(heads, sums.out);
    } else {
      WriteSums<16>(heads, sums.out);
    }
  }

  int64_t QueryParts() const { return plan_.element_format == VecFormat::kFloat16 ? 2 : 1; }

  // For each part and each pair of elements, both elements of all columns: zeros for columns
  // without a head, and from the last pair to a multiple of 16.
  void LoadQueries(int64_t seq, int64_t head, int64_t heads, int64_t columns) {
    const int64_t pairs = params_.head_size / 2;
    const int64_t padded = (pairs + 15) / 16 * 16;
    if (plan_.element_format == VecFormat::kBFloat16) {
      for (int64_t pair = 0; pair < padded; pair += 16) {
        LoadPairs(seq, head, heads, pair, pairs - pair, columns, queries_ + pair * columns);
      }
      return;
    }
    const int64_t size = QueryParts() * padded * columns;
    if (heads < columns || pairs < padded) {
      for (int64_t i = 0; i < size; ++i) queries_[i] = 0;
    }
    for (int64_t h = 0; h < heads; ++h) {
      LoadParts(Blocks::FindQuery(plan_, seq, head + h), pairs, columns, queries_ + h,
                queries_ + padded * columns + h);
    }
  }

  // 16 pairs of all columns, of which the first `left` are there.
  void LoadPairs(int64_t seq, int64_t head, int64_t heads, int64_t first, int64_t left,
                 int64_t columns, uint32_t* to) {
    const __mmask16 valid = MaskOf(left);
    __m512i rows[16];
    for (int64_t h = 0; h < 16; ++h) {
      rows[h] = h < heads ? _mm512_maskz_loadu_epi32(
                                valid, Blocks::FindQuery(plan_, seq, head + h) + first * 4)
                          : _mm512_setzero_si512();
    }
    Vec::Transpose(&rows);
    for (int64_t pair = 0; pair < 16; ++pair) {
      _mm512_mask_storeu_epi32(to + pair * columns, MaskOf(columns), rows[pair]);
    }
  }

  // The first `lanes` lanes, or all.
  static __mmask16 MaskOf(int64_t lanes) {
    return static_cast<__mmask16>(lanes < 16 ? (1 << lanes) - 1 : 0xFFFF);
  }

  // Of float16, each the sum of two bfloat16.
  static void LoadParts(const uint8_t* from, int64_t pairs, int64_t columns, uint32_t* first,
                        uint32_t* second) {
    alignas(64) float query[kMaxHeadSize];
    for (int64_t d = 0; d < 2 * pairs; d += 8) {
      Vec::Widen8<VecFormat::kFloat16>(from + d * 2, query + d);
    }
    for (int64_t pair = 0; pair < pairs; ++pair) {
      const float even = FirstPart(query[2 * pair]);
      const float odd = FirstPart(query[2 * pair + 1]);
      first[pair * columns] = Pair(even, odd);
      second[pair * columns] =
          Pair(SecondPart(query[2 * pair], even), SecondPart(query[2 * pair + 1], odd));
    }
  }

  // Not those of float_bits.h: the vector units must not share the symbol of a function.
  static uint32_t BitsOf(float x) {
    uint32_t bits;
    __builtin_memcpy(&bits, &x, sizeof(bits));
    return bits;
  }

  static float FirstPart(float x) {
    const uint32_t bits = BitsOf(x) & 0xFFFF0000u;
    float part;
    __builtin_memcpy(&part, &bits, sizeof(part));
    return part;
  }

  // As attention_weights_amx_cpu.h says.
  static float SecondPart(float x, float first) {
    const float rest = x - first;
    if (__builtin_fabsf(rest) >= kLeastAmxPart || first == 0) return rest;
    return __builtin_copysignf(kLeastAmxPart, first);
  }

  static uint32_t Pair(float even, float odd) {
    return BitsOf(even) >> 16 | (BitsOf(odd) & 0xFFFF0000u);
  }

  // Turns the dot products of all heads into weights.
  template <int kColumns, class Fetch>
  void FindWeights(int64_t seq, int64_t head, int64_t heads, const BlockList& blocks,
                   int64_t tokens, const AttentionSums& sums, Fetch* fetch) {
    alignas(64) float slopes[16];
    AmxLogits logits{params_.scale * plan_.k_scale * kLog2e, nullptr, positions_};
    if (params_.alibi_slopes != nullptr) {
      Blocks::FindPositions(params_.seq_lens[seq], params_.block_size, blocks, positions_);
      for (int64_t i = 0; i < 16; ++i) {
        const int64_t h = i % kColumns;
        slopes[i] = h < heads ? params_.alibi_slopes[head + h] * kLog2e : 0;
      }
      logits.slopes = slopes;
    }
    alignas(64) float max[16], sum[16];
    const int64_t padded_tokens = (blocks.count * params_.block_size + 31) / 32 * 32;
    AttentionWeightsAmx<kColumns>::Run(logits, tokens, padded_tokens, scores_, weights_, max, sum,
                                       fetch);
    for (int64_t h = 0; h < heads; ++h) {
      sums.max[h] = max[h];
      sums.sum[h] = sum[h];
    }
  }

  // out[head, element], from the sums' columns.
  template <int kColumns>
  void WriteSums(int64_t heads, float* out) {
    const int64_t size = params_.head_size;
    for (int64_t first = 0; first < size; first += 16) {
      __m512i rows[16];
      for (int64_t i = 0; i < 16; ++i) {
        const int64_t d = first + i < size ? first + i : size - 1;
        rows[i] = _mm512_castps_si512(
            AttentionWeightsAmx<kColumns>::AddParts(Vec::Load(columns_ + d * 16)));
      }
      Vec::Transpose(&rows);
      for (int64_t h = 0; h < heads; ++h) {
        _mm512_mask_storeu_epi32(out + h * size + first, MaskOf(size - first), rows[h]);
      }
    }
  }

  static constexpr float kLog2e = 1.44269504f;
  static constexpr int64_t kMostHeads = 16;  // columns of a tile
  static_assert(kMostHeads >= kPassHeads);

  const AttentionPlan& plan_;
  const PagedAttentionParams& params_;
  const uint8_t* keys_[kAmxTokens / 8];
  const uint8_t* values_[kAmxTokens / 8];
  alignas(64) uint32_t queries_[2 * kMaxHeadSize / 2 * 16];
  alignas(64) float scores_[kAmxTokens * 16];
  alignas(64) uint32_t weights_[2 * kAmxTokens / 2 * 16];
  alignas(64) float positions_[kAmxTokens];
  alignas(64) float columns_[kMaxHeadSize * 16];
  alignas(64) uint8_t last_values_[kMaxHeadSize * 32 * 2];
  // Results of a portion that is not the first.
  alignas(64) float more_out_[kMostHeads * kMaxHeadSize];
  float more_max_[kMostHeads];
  float more_sum_[kMostHeads];
};

}  // namespace

// Tiles multiply bfloat16: they do for what it holds, and for queries that are two of it. For few
// heads the vector unit is no slower (docs/experiments_cpu.md), and keeps subnormal numbers.
template <VecFormat kFormat>
void AttentionPass<amx::Vec, kFormat>::Run(const AttentionPlan& plan, int64_t seq, int64_t head,
                                           int64_t heads, const BlockList& blocks,
                                           const BlockList& next, const AttentionSums& sums) {
  if constexpr (kFormat != VecFormat::kFloat32 && kFormat != VecFormat::kFloat16) {
    constexpr int64_t kFewHeads = kFormat == VecFormat::kBFloat16 ? 4 : 2;
    if (heads > kFewHeads && plan.element_format != VecFormat::kFloat32) {
      Pass(plan).Run<kFormat>(seq, head, heads, blocks, next, sums);
      return;
    }
  }
  using Unit = avx512_vbmi::Vec::UnitFor<kFormat>;
  AttentionPass<Unit, kFormat>::Run(plan, seq, head, heads, blocks, next, sums);
}

template struct AttentionPass<Vec, VecFormat::STABLEKV_FORMAT>;

}  // namespace stablekv

#endif  // __x86_64__
