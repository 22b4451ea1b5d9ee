// Dot products of the keys of 8 tokens with the queries of several heads. Keys are widened as they
// are loaded, once for up to four heads.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_KEYS_CPU_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_KEYS_CPU_H_

#include <cstdint>

#include "csrc/kernels/attention/attention_fetch_cpu.h"
#include "csrc/kernels/common/vec_format.h"

namespace stablekv {

template <class Vec, VecFormat kFormat>
class AttentionKeys {
 public:
  static constexpr int kTokens = 8;  // of one call

  // out[h * out_pitch + t] = dot(key t, query h) for 8 tokens and `heads` queries of `head_size`
  // floats. Token t's elements lie in chunks of 16 bytes, `keys` + 16 t being the first.
  static void Run(const uint8_t* keys, int64_t chunk_stride, int64_t head_size,
                  const float* queries, int64_t query_pitch, int64_t heads, float* out,
                  int64_t out_pitch, AttentionFetch<Vec>* fetch) {
    const int64_t steps = head_size / (kVectors * Vec::kLanes);
    while (heads > 0) {
      // Tiles with 8 or 12 sums hide the latency of the additions and fit 16 registers.
      const int64_t tile = heads == 5 || heads == 6 || heads == 3 ? 3 : heads < 4 ? heads : 4;
      const auto run = tile == 1   ? &Tile<8, 1>
                       : tile == 2 ? &Tile<4, 2>
                       : tile == 3 ? &Tile<4, 3>
                                   : &Tile<2, 4>;
      run(keys, chunk_stride, steps, queries, query_pitch, out, out_pitch, fetch);
      heads -= tile;
      queries += tile * query_pitch;
      out += tile * out_pitch;
    }
  }

 private:
  using Float = typename Vec::Float;

  static constexpr int64_t kBytes = BytesOf(kFormat);
  static constexpr int64_t kChunkBytes = 16;
  static constexpr int64_t kChunk = kChunkBytes / kBytes;  // elements
  // A step takes one vector of several chunks, or several vectors of one chunk, of each token.
  static constexpr int kPieces = Vec::kLanes > kChunk ? Vec::kLanes / kChunk : 1;
  static constexpr int kVectors = Vec::kLanes < kChunk ? kChunk / Vec::kLanes : 1;

  template <int kRows, int kHeads>
  static void Tile(const uint8_t* keys, int64_t chunk_stride, int64_t steps, const float* queries,
                   int64_t query_pitch, float* out, int64_t out_pitch, AttentionFetch<Vec>* fetch) {
    constexpr int64_t kStepBytes = kRows * kPieces * kChunkBytes;
    constexpr int64_t kUnroll = kStepBytes >= 128 ? 1 : kStepBytes == 64 ? 2 : 4;
    AttentionFetch<Vec> local_fetch = *fetch;  // in registers
    for (int first = 0; first < kTokens; first += kRows) {
      Float sums[kRows][kHeads] = {};
      const uint8_t* from = keys + first * kChunkBytes;
      const float* query = queries;
      int64_t i = 0;
      for (; i + kUnroll <= steps; i += kUnroll) {
        local_fetch.template Step<kUnroll * kStepBytes>();
#pragma GCC unroll 4
        for (int64_t j = 0; j < kUnroll; ++j) {
          Step(from, chunk_stride, query, query_pitch, &sums);
          from += kPieces * chunk_stride;
          query += kVectors * Vec::kLanes;
        }
      }
      for (; i < steps; ++i) {
        local_fetch.template Step<64>();
        Step(from, chunk_stride, query, query_pitch, &sums);
        from += kPieces * chunk_stride;
        query += kVectors * Vec::kLanes;
      }
      Write(sums, out + first, out_pitch);
    }
    *fetch = local_fetch;
  }

  template <int kRows, int kHeads>
  static void Step(const uint8_t* from, int64_t chunk_stride, const float* query,
                   int64_t query_pitch, Float (*sums)[kRows][kHeads]) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      Float queries[kHeads];
#pragma GCC unroll 8
      for (int h = 0; h < kHeads; ++h) {
        queries[h] = Vec::InRegister(Vec::Load(query + h * query_pitch + v * Vec::kLanes));
      }
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const Float key = Vec::template LoadAs<kFormat, kPieces>(
            from + r * kChunkBytes + v * Vec::kLanes * kBytes, chunk_stride);
#pragma GCC unroll 8
        for (int h = 0; h < kHeads; ++h) {
          (*sums)[r][h] = Vec::MulAdd(key, queries[h], (*sums)[r][h]);
        }
      }
    }
  }

  template <int kRows, int kHeads>
  static void Write(const Float (&sums)[kRows][kHeads], float* out, int64_t out_pitch) {
#pragma GCC unroll 16
    for (int i = 0; i < kRows * kHeads; i += 4) {
      const auto at = [&sums](int j) { return sums[j % kRows][j / kRows]; };
      float four[4];
      Vec::StoreSums(four, at(i), at(i + 1), at(i + 2), at(i + 3));
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) {
        out[(i + j) / kRows * out_pitch + (i + j) % kRows] = four[j];
      }
    }
  }
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_ATTENTION_KEYS_CPU_H_
