// Weighted sums of values over tokens, for up to four heads. Values are widened as they are loaded.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_VALUES_CPU_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_VALUES_CPU_H_

#include <cstdint>

#include "csrc/kernels/attention/attention_fetch_cpu.h"
#include "csrc/kernels/common/vec_format.h"

namespace stablekv {

// A lane adds up the tokens of its number, so blocks are read from front to back, each once, and
// the lanes are added only when all tokens are done.
template <class Vec, VecFormat kFormat>
class AttentionValues {
 public:
  static constexpr int kMaxHeads = 4;
  static constexpr int64_t kPieceTokens = 8;
  static constexpr int64_t kStepTokens = Vec::kLanes > kPieceTokens ? Vec::kLanes : kPieceTokens;

  static int64_t LanesSize(int64_t heads, int64_t head_size) {
    return heads * head_size * Vec::kLanes;
  }

  // lanes[d, h] += the lanes of sum_t weights[h, t] * value[t, d] over `tokens` tokens, a multiple
  // of kStepTokens. pieces[i] is where row d = 0 of tokens 8 i to 8 i + 7 begins.
  static void Run(const uint8_t* const* pieces, int64_t row_bytes, int64_t tokens,
                  int64_t head_size, const float* weights, int64_t weight_pitch, int64_t heads,
                  float* lanes, AttentionFetch<Vec>* fetch) {
    switch (heads) {
      case 1:
        return RunHeads<1>(pieces, row_bytes, tokens, head_size, weights, weight_pitch, lanes,
                           fetch);
      case 2:
        return RunHeads<2>(pieces, row_bytes, tokens, head_size, weights, weight_pitch, lanes,
                           fetch);
      case 3:
        return RunHeads<3>(pieces, row_bytes, tokens, head_size, weights, weight_pitch, lanes,
                           fetch);
      default:
        return RunHeads<4>(pieces, row_bytes, tokens, head_size, weights, weight_pitch, lanes,
                           fetch);
    }
  }

  // out[h * head_size + d] = the sum of lanes[d, h].
  static void AddLanes(const float* lanes, int64_t head_size, int64_t heads, float* out) {
    for (int64_t h = 0; h < heads; ++h) {
      for (int64_t d = 0; d < head_size; d += 4) {
        const auto at = [&](int64_t i) {
          return Vec::Load(lanes + ((d + i) * heads + h) * Vec::kLanes);
        };
        Vec::StoreSums(out + h * head_size + d, at(0), at(1), at(2), at(3));
      }
    }
  }

 private:
  using Float = typename Vec::Float;

  static constexpr int64_t kBytes = BytesOf(kFormat);
  static constexpr int kPieces = Vec::kLanes > kPieceTokens ? Vec::kLanes / kPieceTokens : 1;
  static constexpr int kVectors = Vec::kLanes < kPieceTokens ? kPieceTokens / Vec::kLanes : 1;

  // The weights of some steps at a time stay in registers: 8 of them, so that sums and values find
  // room in 16.
  template <int kHeads>
  static void RunHeads(const uint8_t* const* pieces, int64_t row_bytes, int64_t tokens,
                       int64_t head_size, const float* weights, int64_t weight_pitch, float* lanes,
                       AttentionFetch<Vec>* fetch) {
    constexpr int kSteps = kHeads * kVectors >= 8 ? 1 : kHeads * kVectors >= 3 ? 2 : 4;
    int64_t token = 0;
    for (; token + kSteps * kStepTokens <= tokens; token += kSteps * kStepTokens) {
      Rows<kHeads, kSteps>(pieces + token / kPieceTokens, row_bytes, head_size, weights + token,
                           weight_pitch, lanes, fetch);
    }
    for (; token < tokens; token += kStepTokens) {
      Rows<kHeads, 1>(pieces + token / kPieceTokens, row_bytes, head_size, weights + token,
                      weight_pitch, lanes, fetch);
    }
  }

  template <int kHeads, int kSteps>
  static void Rows(const uint8_t* const* pieces, int64_t row_bytes, int64_t head_size,
                   const float* all_weights, int64_t weight_pitch, float* lanes,
                   AttentionFetch<Vec>* fetch) {
    constexpr int kAll = kSteps * kVectors;  // vectors of a row
    constexpr int kFetchRows = 8;
    AttentionFetch<Vec> local_fetch = *fetch;  // in registers
    Float weights[kHeads][kAll];
    const uint8_t* from[kSteps];
    int64_t piece_stride[kSteps];
#pragma GCC unroll 16
    for (int i = 0; i < kAll; ++i) {
#pragma GCC unroll 4
      for (int h = 0; h < kHeads; ++h) {
        weights[h][i] = Vec::Load(all_weights + h * weight_pitch + i * Vec::kLanes);
      }
    }
#pragma GCC unroll 4
    for (int i = 0; i < kSteps; ++i) {
      from[i] = pieces[i * kPieces];
      piece_stride[i] = kPieces == 1 ? 0 : pieces[i * kPieces + kPieces - 1] - pieces[i * kPieces];
    }
    for (int64_t d = 0; d < head_size; d += kFetchRows) {
      local_fetch.template Step<kFetchRows * kSteps * kStepTokens * kBytes>();
      for (int r = 0; r < kFetchRows; ++r) {
        Float values[kAll];
#pragma GCC unroll 16
        for (int i = 0; i < kAll; ++i) {
          const int step = i / kVectors;
          values[i] = Vec::InRegister(Vec::template LoadAs<kFormat, kPieces>(
              from[step] + i % kVectors * Vec::kLanes * kBytes, piece_stride[step]));
        }
#pragma GCC unroll 4
        for (int i = 0; i < kSteps; ++i) from[i] += row_bytes;
#pragma GCC unroll 4
        for (int h = 0; h < kHeads; ++h) {
          Float sum = Vec::Load(lanes + h * Vec::kLanes);
#pragma GCC unroll 16
          for (int i = 0; i < kAll; ++i) sum = Vec::MulAdd(values[i], weights[h][i], sum);
          Vec::Store(lanes + h * Vec::kLanes, sum);
        }
        lanes += kHeads * Vec::kLanes;
      }
    }
    *fetch = local_fetch;
  }
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_VALUES_CPU_H_
