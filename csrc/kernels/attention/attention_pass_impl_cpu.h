// How a pass is done. For the files that compile one vector unit's and one format's; others include
// attention_pass_cpu.h.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_PASS_IMPL_CPU_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_PASS_IMPL_CPU_H_

#include <cstdint>

#include "csrc/kernels/attention/attention_blocks_cpu.h"
#include "csrc/kernels/attention/attention_fetch_cpu.h"
#include "csrc/kernels/attention/attention_keys_cpu.h"
#include "csrc/kernels/attention/attention_lanes_cpu.h"
#include "csrc/kernels/attention/attention_pass_cpu.h"
#include "csrc/kernels/attention/attention_plan_cpu.h"
#include "csrc/kernels/attention/attention_softmax_cpu.h"
#include "csrc/kernels/attention/attention_values_cpu.h"

namespace stablekv {

template <class Vec>
class AttentionPassImpl {
 public:
  explicit AttentionPassImpl(const AttentionPlan& plan)
      : plan_(plan),
        params_(plan.params),
        block_bytes_(params_.head_size * params_.block_size * plan.cache_bytes) {}

  template <VecFormat kFormat>
  void Run(int64_t seq, int64_t head, int64_t heads, const BlockList& blocks, const BlockList& next,
           AttentionSums* sums) {
    heads_ = heads;
    tokens_ = (blocks.count - 1) * params_.block_size + blocks.last_tokens;
    const int64_t step = params_.block_size > Vec::kLanes ? params_.block_size : Vec::kLanes;
    padded_tokens_ = (tokens_ + step - 1) / step * step;
    FindBlocks(blocks, next);
    const int64_t ahead = blocks.count < kAhead ? blocks.count : kAhead;
    Fetch fetch(keys_ + ahead, 2 * blocks.count + next.count - ahead, block_bytes_);
    LoadQueries<kFormat>(seq, head);
    Logits<kFormat>(blocks.count, &fetch);
    Weights(seq, head, blocks, Vec::template kFactor<kFormat>, sums);
    const auto values = params_.block_size == 8    ? &AttentionPassImpl::Values<kFormat, 8>
                        : params_.block_size == 16 ? &AttentionPassImpl::Values<kFormat, 16>
                                                   : &AttentionPassImpl::Values<kFormat, 32>;
    (this->*values)(blocks.count, &fetch, sums->out);
  }

 private:
  using Blocks = AttentionBlocks<Vec>;
  using Fetch = AttentionFetch<Vec>;
  using Softmax = AttentionSoftmax<Vec>;
  using Lanes = AttentionLanes<Vec>;

  // Blocks: far enough for their lines to arrive, and near enough for them to be there still.
  static constexpr int64_t kAhead = 2 * Fetch::kStreams;

  // The queries, in the order of the keys' lanes; zeros as those of a tile's padding.
  template <VecFormat kFormat>
  void LoadQueries(int64_t seq, int64_t head) {
    using Keys = AttentionKeys<Vec, kFormat>;
    alignas(64) float query[kMaxHeadSize];
    for (int64_t h = 0; h < heads_; ++h) {
      const uint8_t* const from = Blocks::FindQuery(plan_, seq, head + h);
      for (int64_t d = 0; d < params_.head_size; d += 8) {
        Widen8(plan_.element_format, from + d * plan_.element_bytes, query + d);
      }
      Lanes::template Reorder<Keys::kParts, Keys::kChunk>(query, params_.head_size,
                                                          queries_ + h * kMaxHeadSize);
    }
    if (heads_ % 2 == 1) {
      for (int64_t d = 0; d < params_.head_size; ++d) queries_[heads_ * kMaxHeadSize + d] = 0;
    }
  }

  void FindBlocks(const BlockList& blocks, const BlockList& next) {
    values_ = keys_ + blocks.count;
    Blocks::FindKeys(plan_, blocks, keys_);
    Blocks::FindValues(plan_, blocks, values_);
    Blocks::FindKeys(plan_, next, values_ + blocks.count);
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

  // weights_[h, token] = dot(query h, key of token), unscaled; what lies past the last token too.
  template <VecFormat kFormat>
  void Logits(int64_t count, Fetch* fetch) {
    using Keys = AttentionKeys<Vec, kFormat>;
    // A few blocks at a time: the next tile of heads finds them in the first-level cache.
    for (int64_t i = 0; i < count; i += Fetch::kStreams) {
      const int64_t some = count - i < Fetch::kStreams ? count - i : Fetch::kStreams;
      for (int64_t h = 0; h < heads_; h += Vec::kTileHeads) {
        Keys::Run(keys_ + i, some, params_.block_size, params_.head_size,
                  queries_ + h * kMaxHeadSize, heads_ - h,
                  weights_ + h * kWeightPitch + i * params_.block_size, fetch);
      }
    }
  }

  // Turns the dot products into exp(logit - max), and into 0 past the last token.
  // The dot products are `factor` times too small.
  void Weights(int64_t seq, int64_t head, const BlockList& blocks, float factor,
               AttentionSums* sums) {
    if (params_.alibi_slopes != nullptr) {
      float* to =
          Blocks::FindPositions(params_.seq_lens[seq], params_.block_size, blocks, positions_);
      while (to < positions_ + padded_tokens_) *to++ = 0;
    }
    for (int64_t h = 0; h < heads_; ++h) {
      float* const weights = weights_ + h * kWeightPitch;
      const float slope = params_.alibi_slopes == nullptr ? 0 : params_.alibi_slopes[head + h];
      for (int64_t i = tokens_; i < padded_tokens_; ++i) weights[i] = 0;
      Softmax::ScaleAndBias(weights, padded_tokens_, params_.scale * (plan_.k_scale * factor),
                            slope, positions_);
      for (int64_t i = tokens_; i < padded_tokens_; ++i) weights[i] = kMinusInfinity;
      const float max = Softmax::Max(weights, padded_tokens_);
      // When every logit is -Inf, so are the differences: 0 as a base leaves weights of 0.
      sums->max[h] = max;
      sums->sum[h] = Softmax::ExpAndSum(weights, padded_tokens_, max == kMinusInfinity ? 0 : max);
    }
  }

  // out[h, d] = sum over tokens of weight * value.
  template <VecFormat kFormat, int kBlock>
  void Values(int64_t count, Fetch* fetch, float* out) {
    using Sums = AttentionValues<Vec, kFormat, kBlock>;
    if (tokens_ < count * kBlock) {
      constexpr int64_t kBytes = BytesOf(kFormat);
      Blocks::template CopyRowStarts<kBlock * kBytes>(values_[count - 1], params_.head_size,
                                                      (tokens_ - (count - 1) * kBlock) * kBytes,
                                                      last_values_);
      values_[count - 1] = last_values_;
    }
    for (int64_t h = 0; h < heads_; h += Vec::kTileHeads) {
      const int64_t heads = heads_ - h < Vec::kTileHeads ? heads_ - h : Vec::kTileHeads;
      for (int64_t i = 0; i < heads; ++i) {
        Lanes::template Reorder<Sums::kParts, kBlock>(weights_ + (h + i) * kWeightPitch,
                                                      count * kBlock, ordered_ + i * kWeightPitch);
      }
      if (heads % 2 == 1) {
        for (int64_t i = 0; i < count * kBlock; ++i) ordered_[heads * kWeightPitch + i] = 0;
      }
      Sums::Run(values_, count, params_.head_size, ordered_, heads, sums_, kMaxHeadSize, fetch);
      for (int64_t i = 0; i < heads; ++i) {
        for (int64_t d = 0; d < params_.head_size; ++d) {
          out[(h + i) * params_.head_size + d] =
              sums_[i * kMaxHeadSize + d] * Vec::template kFactor<kFormat>;
        }
      }
    }
  }

  const AttentionPlan& plan_;
  const PagedAttentionParams& params_;
  const int64_t block_bytes_;  // of one kv head
  int64_t heads_ = 0;
  int64_t tokens_ = 0;
  int64_t padded_tokens_ = 0;  // to whole steps
  // In the order in which they are read: the keys' blocks, the values', and the next pass's keys.
  const uint8_t* keys_[3 * kMaxPartitionBlocks];
  const uint8_t** values_ = nullptr;  // in there
  // A row more than heads, for a tile's padding.
  alignas(64) float queries_[(kPassHeads + 1) * kMaxHeadSize];
  alignas(64) float weights_[(kPassHeads + 1) * kWeightPitch];
  alignas(64) float ordered_[Vec::kTileHeads * kWeightPitch];
  alignas(64) float positions_[kWeightPitch];
  alignas(64) float sums_[Vec::kTileHeads * kMaxHeadSize];
  alignas(64) uint8_t last_values_[kMaxHeadSize * 32 * sizeof(float)];
};

template <class Vec, VecFormat kFormat>
void AttentionPass<Vec, kFormat>::Run(const AttentionPlan& plan, int64_t seq, int64_t head,
                                      int64_t heads, const BlockList& blocks, const BlockList& next,
                                      AttentionSums* sums) {
  AttentionPassImpl<Vec>(plan).template Run<kFormat>(seq, head, heads, blocks, next, sums);
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_PASS_IMPL_CPU_H_
