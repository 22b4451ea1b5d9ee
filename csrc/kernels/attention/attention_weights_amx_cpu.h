// Softmax between AMX's two products: scores with a column for each head become weights in the form
// in which tiles take them.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_WEIGHTS_AMX_CPU_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_WEIGHTS_AMX_CPU_H_

#include <cstdint>

#include "csrc/kernels/attention/attention_softmax_cpu.h"
#include "csrc/kernels/attention/attention_tiles_amx_cpu.h"
#include "csrc/kernels/common/vec_amx.h"

namespace stablekv {

// What a score needs to be a logit: score * scale + slope * position. Softmax has base 2 here,
// which scale and slopes include.
struct AmxLogits {
  float scale;
  const float* slopes;     // [16], those of 8 heads twice, or null
  const float* positions;  // [tokens], if there are slopes
};

// A number that bfloat16 does not hold is the sum of two parts. The first is cut off, not rounded,
// so that the second has the same sign. Where the second would be 0 it is the smallest normal
// number: no 0 shall meet an Inf that the first part is multiplied with.
inline constexpr float kLeastAmxPart = 0x1p-126f;

// A vector has the logits of kHeads heads, 16 for one token or 8 for each of a pair. The weights of
// 16 heads are two factors, one of each part; those of 8 have both parts in one, columns h and
// h + 8.
template <int kHeads>
class AttentionWeightsAmx {
 public:
  static constexpr int64_t kFactors = kHeads / 8;

  // scores: [token, kHeads], overwritten. weights: for each factor, kAmxTokens / 2 pairs of
  // tokens, both weights of 16 columns; zeros from `tokens` to `padded_tokens`, a multiple of 2.
  // max: the largest logit of each head, sum: the sum of its weights; room for 16. Meanwhile
  // fetches all that is left.
  template <class Fetch>
  static void Run(const AmxLogits& logits, int64_t tokens, int64_t padded_tokens, float* scores,
                  uint32_t* weights, float* max, float* sum, Fetch* fetch) {
    Fetch local_fetch = *fetch;  // in registers
    const Float largest = OfTokens<&Larger>(MakeLogits(logits, tokens, padded_tokens, scores));
    const Float base = largest == Vec::Set(kMinusInfinity) ? Vec::Set(0) : largest;
    Float first_sums = Vec::Set(0), second_sums = Vec::Set(0);
    for (int64_t token = 0; token < padded_tokens; token += 2) {
      local_fetch.template Step<96>();
      Float first[kFactors], second[kFactors];
      for (int64_t i = 0; i < kFactors; ++i) {
        const Float weight = Exp2(Vec::Load(scores + token * kHeads + i * 16) - base);
        first[i] = Cut(weight);
        second[i] = SecondPart(weight, first[i]);
        first_sums += first[i];
        second_sums += second[i];
      }
      if constexpr (kFactors == 2) {
        StorePair(first[0], first[1], weights + token * 8);
        StorePair(second[0], second[1], weights + (kAmxTokens + token) * 8);
      } else {
        StorePair(_mm512_shuffle_f32x4(first[0], second[0], 0x44),
                  _mm512_shuffle_f32x4(first[0], second[0], 0xEE), weights + token * 8);
      }
    }
    local_fetch.Finish();
    *fetch = local_fetch;
    constexpr float kLn2 = 0.693147181f;
    Vec::Store(max, largest * Vec::Set(kLn2));
    Vec::Store(sum, OfTokens<&Sum>(first_sums + second_sums));
  }

  // The sums of values of a row's heads, from those of its columns.
  static __m512 AddParts(__m512 row) { return OfTokens<&Sum>(row); }

 private:
  using Vec = amx::Vec;
  using Float = Vec::Float;

  static constexpr int64_t kVectorTokens = 16 / kHeads;

  static Float Larger(Float a, Float b) { return _mm512_max_ps(a, b); }  // b if a is NaN
  static Float Sum(Float a, Float b) { return a + b; }

  // Of both halves of a vector, if it has two tokens; both have the result.
  template <Float (*kOf)(Float, Float)>
  static Float OfTokens(Float x) {
    if constexpr (kVectorTokens == 1) return x;
    return kOf(x, _mm512_shuffle_f32x4(x, x, 0x4E));
  }

  static Float LoadPositions(const float* from) {
    if constexpr (kVectorTokens == 1) return Vec::Set(from[0]);
    return _mm512_mask_blend_ps(0xFF00, Vec::Set(from[0]), Vec::Set(from[1]));
  }

  // Leaves logits in place of scores, -Inf past the last token. Returns the largest of each lane
  // that is no NaN; -Inf if there is none.
  static Float MakeLogits(const AmxLogits& logits, int64_t tokens, int64_t padded_tokens,
                          float* scores) {
    const Float scale = Vec::Set(logits.scale);
    const Float slopes = logits.slopes == nullptr ? Vec::Set(0) : Vec::Load(logits.slopes);
    Float largest = Vec::Set(kMinusInfinity);
    for (int64_t token = 0; token < padded_tokens; token += kVectorTokens) {
      Float x = Vec::Load(scores + token * kHeads);
      if (logits.slopes == nullptr) {
        x *= scale;
      } else {
        x = Vec::MulAdd(x, scale, slopes * LoadPositions(logits.positions + token));
      }
      if (token + kVectorTokens > tokens) {
        const __mmask16 valid = token < tokens ? 0x00FF : 0;
        x = _mm512_mask_mov_ps(Vec::Set(kMinusInfinity), valid, x);
      }
      Vec::Store(scores + token * kHeads, x);
      largest = Larger(x, largest);
    }
    return largest;
  }

  // 2^x for x <= 0, within 4 units in the last place; 0 where the result is no normal float; NaN
  // for NaN. x = n + r with an integer n; the series is the best of its degree for |r| <= 1/2, and
  // errs by less than 1e-7.
  static Float Exp2(Float x) {
    const Float n = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const Float r = x - n;
    Float series = Vec::Set(1.326472615e-3f);
    series = Vec::MulAdd(series, r, Vec::Set(9.671512991e-3f));
    series = Vec::MulAdd(series, r, Vec::Set(5.550733581e-2f));
    series = Vec::MulAdd(series, r, Vec::Set(0.2402224243f));
    series = Vec::MulAdd(series, r, Vec::Set(0.6931470037f));
    series = Vec::MulAdd(series, r, Vec::Set(1));
    // True for NaN as well.
    const __mmask16 normal = _mm512_cmp_ps_mask(x, Vec::Set(-126), _CMP_NLT_UQ);
    return _mm512_maskz_scalef_ps(normal, series, n);
  }

  static Float Cut(Float x) {
    return _mm512_castsi512_ps(
        _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(-0x10000)));
  }

  // Of x >= 0 or NaN, rounded.
  static Float SecondPart(Float x, Float first) {
    const __mmask16 some = _mm512_cmp_ps_mask(x, Vec::Set(0), _CMP_NEQ_UQ);
    Float rest = x - first;
    rest = _mm512_mask_max_ps(rest, some, rest, Vec::Set(kLeastAmxPart));
    const __m512i half = _mm512_set1_epi32(0x8000);
    return Cut(_mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(rest), half)));
  }

  // The even token's part is in the lower halves of lanes.
  static void StorePair(__m512 even, __m512 odd, uint32_t* to) {
    _mm512_store_si512(to, _mm512_or_si512(_mm512_srli_epi32(_mm512_castps_si512(even), 16),
                                           _mm512_castps_si512(odd)));
  }
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_WEIGHTS_AMX_CPU_H_
