// Softmax between AMX's two products: scores with a column for each head become weights in the form
// in which tiles take them.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_WEIGHTS_AMX_CPU_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_WEIGHTS_AMX_CPU_H_

#include <cstdint>

#include "csrc/kernels/attention/attention_softmax_cpu.h"
#include "csrc/kernels/common/vec_amx.h"

namespace stablekv {

// What a score needs to be a logit: score * scale + slope * position. Softmax has base 2 here,
// which scale and slopes include.
struct AmxLogits {
  bool add_columns;  // a score is the sum of columns h and h + 8; else it is column h
  float scale;
  const float* slopes;     // [16], those of 8 heads twice, or null
  const float* positions;  // [tokens], if there are slopes
};

// A number that bfloat16 does not hold is the sum of two parts, which are columns h and h + 8 of
// what tiles are multiplied with. The first is cut off, not rounded, so that the second has the
// same sign. Where the second would be 0 it is the smallest normal number: no 0 shall meet an Inf
// that the first part is multiplied with.
inline constexpr float kLeastAmxPart = 0x1p-126f;

// A vector has the logits of 8 heads for a pair of tokens.
class AttentionWeightsAmx {
 public:
  static constexpr int kHeads = 8;

  // scores: [token, 16 columns], overwritten. weights: for each pair of tokens, both weights of 16
  // columns, zeros from `tokens` to `padded_tokens`, a multiple of 8. max: the largest logit of
  // each head, sum: the sum of its weights.
  static void Run(const AmxLogits& logits, int64_t tokens, int64_t padded_tokens, float* scores,
                  uint32_t* weights, float* max, float* sum) {
    const Float largest = BothTokens<&Larger>(MakeLogits(logits, tokens, padded_tokens, scores));
    const Float base = largest == Vec::Set(kMinusInfinity) ? Vec::Set(0) : largest;
    Float first_sums = Vec::Set(0), second_sums = Vec::Set(0);
    for (int64_t token = 0; token < padded_tokens; token += 2) {
      const Float weight = Exp2(Vec::Load(scores + token * kHeads) - base);
      const Float first = Cut(weight);
      const Float second = SecondPart(weight, first);
      first_sums += first;
      second_sums += second;
      StorePair(first, second, weights + token * kHeads);
    }
    constexpr float kLn2 = 0.693147181f;
    _mm256_storeu_ps(max, _mm512_castps512_ps256(largest * Vec::Set(kLn2)));
    _mm256_storeu_ps(sum, _mm512_castps512_ps256(BothTokens<&Sum>(first_sums + second_sums)));
  }

  // What a row's first and second columns add up to, in the first 8 lanes.
  static __m512 AddParts(__m512 row) { return BothTokens<&Sum>(row); }

 private:
  using Vec = amx::Vec;
  using Float = Vec::Float;

  static Float Larger(Float a, Float b) { return _mm512_max_ps(a, b); }  // b if a is NaN
  static Float Sum(Float a, Float b) { return a + b; }

  // Of both halves of a vector; both have the result.
  template <Float (*kOf)(Float, Float)>
  static Float BothTokens(Float x) {
    return kOf(x, _mm512_shuffle_f32x4(x, x, 0x4E));
  }

  static Float LoadScores(const float* from) {
    const __m512 even = _mm512_castps256_ps512(_mm256_loadu_ps(from));
    return _mm512_insertf32x8(even, _mm256_loadu_ps(from + 16), 1);
  }

  // Leaves vectors of logits at the start of `scores`, -Inf in them past the last token. Returns
  // the largest of each lane that is no NaN; -Inf if there is none.
  static Float MakeLogits(const AmxLogits& logits, int64_t tokens, int64_t padded_tokens,
                          float* scores) {
    const Float scale = Vec::Set(logits.scale);
    const Float slopes = logits.slopes == nullptr ? Vec::Set(0) : Vec::Load(logits.slopes);
    Float largest = Vec::Set(kMinusInfinity);
    for (int64_t token = 0; token < padded_tokens; token += 2) {
      Float x = LoadScores(scores + token * 16);
      if (logits.add_columns) x += LoadScores(scores + token * 16 + 8);
      if (logits.slopes == nullptr) {
        x *= scale;
      } else {
        const float* const position = logits.positions + token;
        const Float positions =
            _mm512_mask_blend_ps(0xFF00, Vec::Set(position[0]), Vec::Set(position[1]));
        x = Vec::MulAdd(x, scale, slopes * positions);
      }
      if (token + 1 >= tokens) {
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

  // A row of both parts of a pair's weights, the even token's in the lower halves of lanes.
  static void StorePair(__m512 first, __m512 second, uint32_t* to) {
    const __m512 even = _mm512_shuffle_f32x4(first, second, 0x44);
    const __m512 odd = _mm512_shuffle_f32x4(first, second, 0xEE);
    _mm512_store_si512(to, _mm512_or_si512(_mm512_srli_epi32(_mm512_castps_si512(even), 16),
                                           _mm512_castps_si512(odd)));
  }
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_WEIGHTS_AMX_CPU_H_
