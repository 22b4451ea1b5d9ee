// One pass of decode attention on the CPU: some heads of one kv head over some cache blocks.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_PASS_CPU_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_PASS_CPU_H_

#include <cstdint>

#include "csrc/kernels/attention/attention_dot_cpu.h"
#include "csrc/kernels/attention/attention_plan_cpu.h"
#include "csrc/kernels/attention/attention_softmax_cpu.h"

namespace stablekv {

inline constexpr int64_t kPassHeads = 16;  // most heads of a pass: bounds the stack
inline constexpr int64_t kMaxHeadSize = 256;
inline constexpr int64_t kMinBlockSize = 8;
// Bytes of keys, and of values, that a tile may have: both shall stay in a core's L2 cache.
inline constexpr int64_t kTileBytes = 128 * 1024;
inline constexpr int64_t kPad = 16;  // floats; keeps rows off the same cache sets

// Result of a pass; see AttentionPlan for the meaning.
struct AttentionSums {
  alignas(64) float out[kPassHeads * kMaxHeadSize];  // [heads, head_size]
  float max[kPassHeads];
  float sum[kPassHeads];
};

// Blocks to attend to, as places in a sequence's row of the block table; all but the last are full.
struct BlockList {
  const int32_t* table;  // the sequence's row
  int32_t places[kPartitionSize / kMinBlockSize];
  int64_t count;
  int64_t last_tokens;  // valid tokens of the last block
};

template <class Vec>
class AttentionPass {
 public:
  AttentionPass(const AttentionPlan& plan, int64_t seq, int64_t kv_head)
      : plan_(plan),
        params_(plan.params),
        seq_(seq),
        block_bytes_(params_.head_size * params_.block_size * plan.cache_bytes),
        keys_(static_cast<const uint8_t*>(params_.key_cache) +
              kv_head * params_.key_cache_head_stride * plan.cache_bytes),
        values_(static_cast<const uint8_t*>(params_.value_cache) +
                kv_head * params_.value_cache_head_stride * plan.cache_bytes) {
    padded_head_ = (params_.head_size + Vec::kLanes - 1) / Vec::kLanes * Vec::kLanes;
    tile_blocks_ = kTileBytes / block_bytes_;
    const int64_t most = kPartitionSize / params_.block_size;
    tile_blocks_ = tile_blocks_ > most ? most : tile_blocks_ < 4 ? 4 : tile_blocks_;
  }

  // Heads [head, head + heads) over the tokens of `blocks`, of which there is at least one.
  // `next` are the blocks that will be read after these: their keys are fetched ahead.
  template <VecFormat kFormat>
  void Run(int64_t head, int64_t heads, const BlockList& blocks, const BlockList* next,
           AttentionSums* sums) {
    heads_ = heads;
    LoadQueries(head);
    for (int64_t r = 0; r < kRows; ++r) {  // what Widen8 leaves of a row's last vector
      for (int64_t d = params_.head_size; d < padded_head_; ++d) key_rows_[r * kKeyPitch + d] = 0;
    }
    for (int64_t i = 0; i < heads * params_.head_size; ++i) sums->out[i] = 0;
    for (int64_t h = 0; h < heads; ++h) {
      sums->max[h] = kMinusInfinity;
      sums->sum[h] = 0;
    }
    for (int64_t first = 0; first < blocks.count; first += tile_blocks_) {
      const int64_t rest = blocks.count - first;
      const int64_t count = rest < tile_blocks_ ? rest : tile_blocks_;
      const int64_t tokens = (count - 1) * params_.block_size +
                             (count == rest ? blocks.last_tokens : params_.block_size);
      Logits<kFormat>(blocks, first, count);
      Weights(head, blocks, first, count, tokens, sums);
      const BlockList* after = count == rest ? next : &blocks;
      Values<kFormat>(blocks, first, count, tokens, after, count == rest ? 0 : first + count, sums);
    }
  }

 private:
  static constexpr int64_t kKeyPitch = kMaxHeadSize + kPad;
  static constexpr int64_t kTokenPitch = kPartitionSize + kPad;

  const uint8_t* KeyBlock(const BlockList& blocks, int64_t i) const {
    const int64_t block = blocks.table[blocks.places[i]];
    return keys_ + block * params_.key_cache_block_stride * plan_.cache_bytes;
  }
  const uint8_t* ValueBlock(const BlockList& blocks, int64_t i) const {
    const int64_t block = blocks.table[blocks.places[i]];
    return values_ + block * params_.value_cache_block_stride * plan_.cache_bytes;
  }

  static void Prefetch(const uint8_t* from, int64_t bytes) {
    for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(from + i, 0, 2);
  }

  template <VecFormat kFormat>
  void LoadQueriesAs(int64_t head) {
    for (int64_t h = 0; h < heads_; ++h) {
      const auto* from =
          static_cast<const uint8_t*>(params_.query) +
          (seq_ * params_.query_seq_stride + (head + h) * params_.query_head_stride) *
              plan_.element_bytes;
      float* const to = queries_ + h * kMaxHeadSize;
      for (int64_t d = 0; d < params_.head_size; d += 8) {
        Vec::template Widen8<kFormat>(from + d * plan_.element_bytes, to + d);
      }
      for (int64_t d = params_.head_size; d < padded_head_; ++d) to[d] = 0;
    }
  }

  void LoadQueries(int64_t head) {
    switch (plan_.element_format) {
      case VecFormat::kFloat16:
        return LoadQueriesAs<VecFormat::kFloat16>(head);
      case VecFormat::kBFloat16:
        return LoadQueriesAs<VecFormat::kBFloat16>(head);
      default:
        return LoadQueriesAs<VecFormat::kFloat32>(head);
    }
  }

  // weights_[h, token] = dot(query h, key of token), unscaled; what lies past the last token too.
  template <VecFormat kFormat>
  void Logits(const BlockList& blocks, int64_t first, int64_t count) {
    constexpr int64_t kChunk = 16;  // bytes of one token's chunk of keys
    const int64_t chunk_elements = kChunk / plan_.cache_bytes;
    for (int64_t i = 0; i < count; ++i) {
      const uint8_t* const block = KeyBlock(blocks, first + i);
      Prefetch(ValueBlock(blocks, first + i), block_bytes_);
      for (int64_t token = 0; token < params_.block_size; token += kRows) {
        const uint8_t* from = block + token * kChunk;
        for (int64_t d = 0; d < params_.head_size; d += chunk_elements) {
          for (int64_t r = 0; r < kRows; ++r) {
            WidenChunk<kFormat>(from + r * kChunk, key_rows_ + r * kKeyPitch + d);
          }
          from += params_.block_size * kChunk;
        }
        AttentionDot<Vec>::template Run<false>(
            key_rows_, kKeyPitch, queries_, kMaxHeadSize, heads_, padded_head_,
            weights_ + i * params_.block_size + token, kTokenPitch);
      }
    }
  }

  // 16 bytes of elements.
  template <VecFormat kFormat>
  static void WidenChunk(const uint8_t* from, float* to) {
    if constexpr (kFormat == VecFormat::kFloat32) {
      __builtin_memcpy(to, from, 16);
    } else if constexpr (kFormat == VecFormat::kFloat16 || kFormat == VecFormat::kBFloat16) {
      Vec::template Widen8<kFormat>(from, to);
    } else {
      Vec::template Widen8<kFormat>(from, to);
      Vec::template Widen8<kFormat>(from + 8, to + 8);
    }
  }

  // Turns the dot products of a tile into exp(logit - max) and brings `sums` to the same max.
  void Weights(int64_t head, const BlockList& blocks, int64_t first, int64_t count, int64_t tokens,
               AttentionSums* sums) {
    const int64_t padded = (tokens + Vec::kLanes - 1) / Vec::kLanes * Vec::kLanes;
    if (params_.alibi_slopes != nullptr) {
      const int64_t last = params_.seq_lens[seq_] - 1;
      for (int64_t i = 0; i < count; ++i) {
        const int64_t start = blocks.places[first + i] * params_.block_size - last;
        for (int64_t token = 0; token < params_.block_size; ++token) {
          positions_[i * params_.block_size + token] = static_cast<float>(start + token);
        }
      }
      for (int64_t i = count * params_.block_size; i < padded; ++i) positions_[i] = 0;
    }
    for (int64_t h = 0; h < heads_; ++h) {
      float* const weights = weights_ + h * kTokenPitch;
      const float slope = params_.alibi_slopes == nullptr ? 0 : params_.alibi_slopes[head + h];
      for (int64_t i = tokens; i < padded; ++i) weights[i] = 0;
      Softmax::ScaleAndBias(weights, padded, params_.scale * plan_.k_scale, slope, positions_);
      for (int64_t i = tokens; i < padded; ++i) weights[i] = kMinusInfinity;
      const float max = Softmax::Max(weights, padded, sums->max[h]);
      // When every logit is -Inf, so are the differences: 0 as a base leaves weights of 0.
      const float base = max == kMinusInfinity ? 0 : max;
      const float rescale = Softmax::ExpOne(sums->max[h] - base);
      sums->sum[h] = sums->sum[h] * rescale + Softmax::ExpAndSum(weights, padded, base);
      sums->max[h] = max;
      if (first > 0) {
        Softmax::Scale(sums->out + h * params_.head_size, params_.head_size, rescale);
      }
    }
  }

  // Adds weights * values of a tile to sums->out, and fetches `after`'s keys from block
  // `after_first` on.
  template <VecFormat kFormat>
  void Values(const BlockList& blocks, int64_t first, int64_t count, int64_t tokens,
              const BlockList* after, int64_t after_first, AttentionSums* sums) {
    const int64_t row_bytes = params_.block_size * plan_.cache_bytes;
    const int64_t padded = (tokens + Vec::kLanes - 1) / Vec::kLanes * Vec::kLanes;
    int64_t fetch = after == nullptr ? 0 : after->count - after_first;
    fetch = fetch < tile_blocks_ ? fetch : tile_blocks_;
    int64_t fetched = 0;
    for (int64_t d = 0; d < params_.head_size; d += kRows) {
      for (; fetched * params_.head_size < fetch * (d + kRows); ++fetched) {
        Prefetch(KeyBlock(*after, after_first + fetched), block_bytes_);
      }
      for (int64_t i = 0; i < count; ++i) {
        const uint8_t* from = ValueBlock(blocks, first + i) + d * row_bytes;
        float* const to = value_rows_ + i * params_.block_size;
        for (int64_t r = 0; r < kRows; ++r) {
          for (int64_t token = 0; token < params_.block_size; token += 8) {
            Vec::template Widen8<kFormat>(from + r * row_bytes + token * plan_.cache_bytes,
                                          to + r * kTokenPitch + token);
          }
        }
      }
      // A weight of 0 would not hide a NaN that stands past the last token.
      for (int64_t r = 0; r < kRows; ++r) {
        for (int64_t i = tokens; i < padded; ++i) value_rows_[r * kTokenPitch + i] = 0;
      }
      AttentionDot<Vec>::template Run<true>(value_rows_, kTokenPitch, weights_, kTokenPitch, heads_,
                                            padded, sums->out + d, params_.head_size);
    }
  }

  using Softmax = AttentionSoftmax<Vec>;

  const AttentionPlan& plan_;
  const PagedAttentionParams& params_;
  int64_t seq_;
  int64_t block_bytes_;  // of one kv head
  const uint8_t* keys_;
  const uint8_t* values_;
  int64_t heads_ = 0;
  int64_t padded_head_;
  int64_t tile_blocks_;
  alignas(64) float queries_[kPassHeads * kMaxHeadSize];
  alignas(64) float weights_[kPassHeads * kTokenPitch];
  alignas(64) float key_rows_[kRows * kKeyPitch];
  alignas(64) float value_rows_[kRows * kTokenPitch];
  alignas(64) float positions_[kTokenPitch];
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_PASS_CPU_H_
