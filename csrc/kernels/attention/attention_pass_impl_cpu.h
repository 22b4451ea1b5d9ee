// How a pass is done. For the files that compile one vector unit's and one format's; others include
// attention_pass_cpu.h.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_PASS_IMPL_CPU_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_PASS_IMPL_CPU_H_

#include <cstdint>

#include "csrc/kernels/attention/attention_blocks_cpu.h"
#include "csrc/kernels/attention/attention_fetch_cpu.h"
#include "csrc/kernels/attention/attention_keys_cpu.h"
#include "csrc/kernels/attention/attention_lanes_cpu.h"
#include "csrc/kernels/attention/attention_order_cpu.h"
#include "csrc/kernels/attention/attention_pass_cpu.h"
#include "csrc/kernels/attention/attention_plan_cpu.h"
#include "csrc/kernels/attention/attention_softmax_cpu.h"
#include "csrc/kernels/attention/attention_values_cpu.h"

namespace stablekv {

template <class Vec>
class AttentionPassImpl {
 public:
  explicit AttentionPassImpl(const AttentionPlan& plan) : plan_(plan), params_(plan.params) {}

  template <VecFormat kFormat>
  void Run(int64_t seq, int64_t head, int64_t heads, const BlockList& blocks, const BlockList& next,
           const AttentionSums& sums) {
    kv_heads_ = blocks.kv_heads;
    heads_ = heads;
    rows_ = RowsOf(heads);
    tokens_ = (blocks.count - 1) * params_.block_size + blocks.last_tokens;
    const int64_t step = params_.block_size > Vec::kLanes ? params_.block_size : Vec::kLanes;
    padded_tokens_ = (tokens_ + step - 1) / step * step;
    const Order order(plan_, blocks, next);
    Logits<kFormat>(seq, head, order, blocks.count);
    const auto finish = params_.block_size == 8    ? &AttentionPassImpl::Finish<kFormat, 8>
                        : params_.block_size == 16 ? &AttentionPassImpl::Finish<kFormat, 16>
                                                   : &AttentionPassImpl::Finish<kFormat, 32>;
    (this->*finish)(seq, head, order, blocks, sums);
  }

 private:
  using Blocks = AttentionBlocks<Vec>;
  using Fetch = AttentionFetch<Vec>;
  using Softmax = AttentionSoftmax<Vec>;
  using Lanes = AttentionLanes<Vec>;
  using Order = AttentionOrder<Vec>;

  static constexpr float kNan = __builtin_nanf("");

  // The queries, in the order of the keys' lanes; zeros as those of a tile's padding.
  template <class Keys>
  void LoadQueries(int64_t seq, int64_t head) {
    alignas(64) float query[kMaxHeadSize];
    const int64_t size = params_.head_size / Keys::kLaneElements;
    for (int64_t k = 0; k < kv_heads_; ++k) {
      float* const to = queries_ + k * rows_ * kMaxHeadSize;
      for (int64_t h = 0; h < heads_; ++h) {
        const uint8_t* const from = Blocks::FindQuery(plan_, seq, head + k * heads_ + h);
        if constexpr (Keys::kLaneElements == 2) {
          __builtin_memcpy(query, from, static_cast<size_t>(size) * sizeof(float));
        } else {
          for (int64_t d = 0; d < size; d += 8) {
            Widen8(plan_.element_format, from + d * plan_.element_bytes, query + d);
          }
        }
        Lanes::template Reorder<Keys::kParts, Keys::kChunk>(query, size, to + h * kMaxHeadSize);
      }
      if (heads_ < rows_) {
        for (int64_t d = 0; d < size; ++d) to[heads_ * kMaxHeadSize + d] = 0;
      }
    }
  }

  static void Widen8(VecFormat format, const uint8_t* from, float* to) {
    switch (format) {
      case VecFormat::kFloat16:
        return Vec::template Widen8<VecFormat::kFloat16>(from, to);
      case VecFormat::kBFloat16:
        return Vec::template Widen8<VecFormat::kBFloat16>(from, to);
      default:
        return Vec::template Widen8<VecFormat::kFloat32>(from, to);
    }
  }

  // weights_[row, token] = dot(query of row, key of token), unscaled; what lies past the last token
  // too.
  template <VecFormat kFormat>
  void Logits(int64_t seq, int64_t head, const Order& order, int64_t count) {
    if constexpr (Vec::template kHasPairs<kFormat>) {
      // Few heads wait for memory, and no less where there is less to work out.
      constexpr int64_t kFew = kFormat == VecFormat::kBFloat16 ? 8 : 1;
      if (plan_.pairs && heads_ > kFew) {
        return LogitsBy<AttentionKeys<Vec, kFormat, /*kPairs=*/true>>(seq, head, order, count);
      }
    }
    LogitsBy<AttentionKeys<Vec, kFormat, /*kPairs=*/false>>(seq, head, order, count);
  }

  template <class Keys>
  void LogitsBy(int64_t seq, int64_t head, const Order& order, int64_t count) {
    LoadQueries<Keys>(seq, head);
    for (int64_t group = 0; group < order.groups(); ++group) {
      const int64_t block = group / kv_heads_ * BlockGroup::kBlocks;
      const BlockGroup keys = order.Keys(group);
      Fetch fetch(order.AheadOfKeys(group), TilesOf(Keys::kTileHeads));
      for (int64_t h = 0; h < heads_; h += Keys::kTileHeads) {
        const int64_t row = group % kv_heads_ * rows_ + h;
        Keys::Run(keys, BlocksFrom(block, count), params_.block_size, params_.head_size,
                  queries_ + row * kMaxHeadSize, heads_ - h,
                  weights_ + row * kWeightPitch + block * params_.block_size, &fetch);
      }
    }
  }

  // How many tiles of so many heads there are.
  int64_t TilesOf(int64_t heads) const { return (heads_ + heads - 1) / heads; }

  // Of the group that begins with block `first`.
  static int64_t BlocksFrom(int64_t first, int64_t count) {
    return count - first < BlockGroup::kBlocks ? count - first : BlockGroup::kBlocks;
  }

  // What comes after the logits.
  template <VecFormat kFormat, int kBlock>
  void Finish(int64_t seq, int64_t head, const Order& order, const BlockList& blocks,
              const AttentionSums& sums) {
    Weights(seq, head, blocks, Vec::template kFactor<kFormat>,
            &Lanes::template Reorder<Vec::template kParts<kFormat>, kBlock>, sums);
    Values<kFormat, kBlock>(order, blocks, sums.out);
  }

  // Turns the dot products, which are `factor` times too small, into exp(logit - max), in the order
  // of the values' lanes.
  void Weights(int64_t seq, int64_t head, const BlockList& blocks, float factor,
               void (*reorder)(const float* from, int64_t size, float* to),
               const AttentionSums& sums) {
    const float scale = params_.scale * (plan_.k_scale * factor);
    if (params_.alibi_slopes != nullptr) {
      float* to =
          Blocks::FindPositions(params_.seq_lens[seq], params_.block_size, blocks, positions_);
      while (to < positions_ + padded_tokens_) *to++ = 0;
    }
    for (int64_t i = 0; i < kv_heads_ * heads_; ++i) {
      float* const weights = weights_ + (i / heads_ * rows_ + i % heads_) * kWeightPitch;
      const float slope = params_.alibi_slopes == nullptr ? 0 : params_.alibi_slopes[head + i];
      // What lies past the last token is not to be the largest, and comes to 0.
      for (int64_t t = tokens_; t < padded_tokens_; ++t) weights[t] = kNan;
      const float max = Softmax::ScaleAndFindMax(weights, padded_tokens_, scale, slope, positions_);
      for (int64_t t = tokens_; t < padded_tokens_; ++t) weights[t] = kMinusInfinity;
      // When every logit is -Inf, so are the differences: 0 as a base leaves weights of 0.
      sums.max[i] = max;
      sums.sum[i] =
          Softmax::ExpAndSum(weights, padded_tokens_, max == kMinusInfinity ? 0 : max, unordered_);
      reorder(unordered_, blocks.count * params_.block_size, weights);
    }
  }

  // out[head, d] = sum over tokens of weight * value.
  template <VecFormat kFormat, int kBlock>
  void Values(const Order& order, const BlockList& blocks, float* out) {
    using Sums = AttentionValues<Vec, kFormat, kBlock>;
    const int64_t head_sums = Sums::SumsOfHead(params_.head_size);
    for (int64_t group = 0; group < order.groups(); ++group) {
      const int64_t block = group / kv_heads_ * BlockGroup::kBlocks;
      const int64_t count = BlocksFrom(block, blocks.count);
      BlockGroup values = order.Values(group);
      Fetch fetch(order.AheadOfValues(group), TilesOf(Sums::kTileHeads));
      if (block + count == blocks.count && blocks.last_tokens < kBlock) {
        constexpr int64_t kBytes = BytesOf(kFormat);
        Blocks::template CopyRowStarts<kBlock * kBytes>(values.blocks[count - 1], params_.head_size,
                                                        blocks.last_tokens * kBytes, last_values_);
        values.blocks[count - 1] = last_values_;
      }
      for (int64_t h = 0; h < heads_; h += Sums::kTileHeads) {
        const int64_t row = group % kv_heads_ * rows_ + h;
        Sums::Add(block == 0, values, count, params_.head_size,
                  weights_ + row * kWeightPitch + block * kBlock, heads_ - h,
                  sums_ + row * head_sums, &fetch);
      }
    }
    for (int64_t k = 0; k < kv_heads_; ++k) {
      for (int64_t h = 0; h < heads_; h += Sums::kTileHeads) {
        Sums::Write(sums_ + (k * rows_ + h) * head_sums, params_.head_size, heads_ - h,
                    out + (k * heads_ + h) * params_.head_size);
      }
    }
    if constexpr (Vec::template kFactor<kFormat> != 1) {
      for (int64_t i = 0; i < kv_heads_ * heads_ * params_.head_size; ++i) {
        out[i] *= Vec::template kFactor<kFormat>;
      }
    }
  }

  const AttentionPlan& plan_;
  const PagedAttentionParams& params_;
  int64_t kv_heads_ = 0;
  int64_t heads_ = 0;  // of each kv head
  int64_t rows_ = 0;   // of each kv head
  int64_t tokens_ = 0;
  int64_t padded_tokens_ = 0;  // to whole steps
  alignas(64) float queries_[kPassRows * kMaxHeadSize];
  alignas(64) float weights_[kPassRows * kWeightPitch];
  alignas(64) float unordered_[kWeightPitch];  // weights of a head
  alignas(64) float positions_[kWeightPitch];
  typename Vec::Float sums_[kPassElements];
  alignas(64) uint8_t last_values_[kMaxHeadSize * 32 * sizeof(float)];
};

template <class Vec, VecFormat kFormat>
void AttentionPass<Vec, kFormat>::Run(const AttentionPlan& plan, int64_t seq, int64_t head,
                                      int64_t heads, const BlockList& blocks, const BlockList& next,
                                      const AttentionSums& sums) {
  // Of a stack that has 8 MiB, or 2 in some programs.
  static_assert(sizeof(AttentionPassImpl<Vec>) <= 480 * 1024, "a pass lies on the stack");
  AttentionPassImpl<Vec>(plan).template Run<kFormat>(seq, head, heads, blocks, next, sums);
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_PASS_IMPL_CPU_H_
