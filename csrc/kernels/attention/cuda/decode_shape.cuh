// Compile-time shape of the decode kernel: who loads what, and what lies in shared memory.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_DECODE_SHAPE_CUH_
#define STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_DECODE_SHAPE_CUH_

#include <cstdint>

#include "csrc/kernels/attention/cuda/chunk.cuh"
#include "csrc/kernels/attention/cuda/decode_args.h"
#include "csrc/kernels/common/cuda/number_format.cuh"

namespace stablekv {

// How many of `chunks` a lane loads at once: the batch among 4, 5, 3 that leaves the last one
// fullest.
constexpr int ChunksPerBatch(int chunks) {
  int best = 4;
  for (const int batch : {5, 3}) {
    const auto padded = [chunks](int size) { return (chunks + size - 1) / size * size; };
    if (padded(batch) < padded(best)) best = batch;
  }
  return best;
}

// A warp takes kStepTokens tokens at a time.
//   Scores: each lane owns kTokensPerLane tokens and walks along the head, x elements a load.
//   Values: a row of the cache is one element of the head over the tokens of a block. kRowLanes
//   neighbouring lanes take a row each kValueChunk tokens wide; a pass takes kRowsPerPass rows.
// `Format` is that of the caches. The type of queries and output is known at run time: it takes no
// part in the work that counts.
template <typename Format, int kHeadSize_, int kHeads_>
struct DecodeShape {
  static constexpr int kHeadSize = kHeadSize_;
  static constexpr int kHeads = kHeads_;  // query heads of the tile
  using Bits = typename Format::Bits;

  // A second token halves the reads of the queries, which matter once there are several.
  static constexpr int kTokensPerLane = kHeads == 1 ? 1 : 2;
  static constexpr int kStepTokens = 32 * kTokensPerLane;

  static constexpr int kX = 16 / static_cast<int>(sizeof(Bits));
  using KeyChunk = Chunk<Format, kX>;
  static_assert(kHeadSize % kX == 0);
  static constexpr int kKeyChunks = kHeadSize / kX;
  static constexpr int kKeyBatch = ChunksPerBatch(kKeyChunks);
  static constexpr int kKeyBatches = (kKeyChunks + kKeyBatch - 1) / kKeyBatch;
  static constexpr int kPaddedHeadSize = kKeyBatches * kKeyBatch * kX;

  static constexpr int kValueChunk = sizeof(Bits) == 4 ? 4 : 8;
  using ValueChunk = Chunk<Format, kValueChunk>;
  static constexpr int kRowLanes = 2;
  static constexpr int kRowsPerPass = 32 / kRowLanes;
  static constexpr int kPasses = (kHeadSize + kRowsPerPass - 1) / kRowsPerPass;
  static constexpr int kSubStepTokens = kRowLanes * kValueChunk;

  // CTAs to fit on a multiprocessor: as many as the registers allow that a lane needs all along,
  // those of the sums and, for each head, of its scores and its softmax.
  static constexpr int kLastingRegisters = kHeads * (kPasses + 4);
  static constexpr int kResidentCtas = kLastingRegisters <= 48   ? 4
                                       : kLastingRegisters <= 64 ? 3
                                                                 : 2;

  // Used up to the last step, and after it.
  struct Walking {
    float query[kHeads][kPaddedHeadSize];  // zeros past the head's end
    float weights[kDecodeWarps][kHeads][kStepTokens];
  };
  struct Merging {
    float out[kDecodeWarps][kHeads][kHeadSize];
    float max[kDecodeWarps][kHeads];
    float sum[kDecodeWarps][kHeads];
  };
  union __align__(16) Shared {
    Walking walking;
    Merging merging;
  };
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_DECODE_SHAPE_CUH_
