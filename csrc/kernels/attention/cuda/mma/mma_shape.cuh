// Compile-time shape of the tensor-core decode kernel: its warps and its shared memory.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_MMA_SHAPE_CUH_
#define STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_MMA_SHAPE_CUH_

#include <cstdint>

#include "csrc/kernels/attention/cuda/mma/async_copy.cuh"
#include "csrc/kernels/attention/cuda/mma/mma_args.h"
#include "csrc/kernels/attention/cuda/mma/mma_format.cuh"

namespace stablekv {

// A tile is the keys, or the values, of one head for one step of tokens: the blocks that hold them,
// one after the other, each as it lies in the cache. Every warp has a ring of tiles of its own.
template <typename Format_, int kHeadSize_, bool kPairs_, int kProducts_>
struct MmaShape {
  using Format = Format_;
  using Bits = typename Format::Bits;
  using Traits = MmaFormat<Format>;
  using Operand = typename Traits::Operand;
  static constexpr int kHeadSize = kHeadSize_;
  static constexpr int kElementBytes = static_cast<int>(sizeof(Bits));
  static constexpr bool kScaled = kElementBytes == 1;
  // 16 bytes of values are tokens of two elements: fp8 in blocks of kPairedBlockTokens.
  static constexpr bool kPairs = kPairs_;
  static constexpr int kProducts = kProducts_;  // side by side, of kMmaHeads query heads each
  static constexpr int kHeads = kProducts * kMmaHeads;

  // The scores take 16 elements of the head a product, the values 16 elements of it as rows.
  static constexpr int kHeadSteps = (kHeadSize + 15) / 16;
  static constexpr int kChunks = kHeadSize * kElementBytes / 16;  // 16 bytes of a key

  static constexpr int kStepTokens = MmaStepTokens(kHeadSize * kElementBytes);
  static constexpr int kRowTiles = kStepTokens / 16;
  static constexpr int kLogStepTokens = kStepTokens == 64 ? 6 : 5;

  static constexpr uint64_t kAllAttended = ~uint64_t{0} >> (64 - kStepTokens);

  static constexpr int kTileBytes = kStepTokens * kHeadSize * kElementBytes;
  static constexpr int kWarps = MmaWarps(kTileBytes);
  static constexpr int kLogWarps = kWarps == 8 ? 3 : kWarps == 4 ? 2 : 1;
  static constexpr int kThreads = 32 * kWarps;

  // Two CTAs fit on a multiprocessor, so that one loads while the other starts or ends.
  static constexpr int kResidentCtas = 2;
  static constexpr int kRingBytes = 96 * 1024;  // of all warps
  static constexpr int kFittingTiles = kRingBytes / (kWarps * kTileBytes);
  static constexpr int kTiles = kFittingTiles < 8 ? kFittingTiles : 8;
  static_assert(kTiles >= 3);
  static constexpr int kShortRingBytes = 64 * 1024;
  static constexpr int kFewTiles = kShortRingBytes / (kWarps * kTileBytes);
  static constexpr int kShortTiles = kFewTiles < kTiles ? kFewTiles : kTiles;
  static_assert(kShortTiles >= 2);

  // A warp's sums, in the place of its ring: rows are padded so that a warp's stores fall on all
  // banks.
  static constexpr int kSumPitch = kHeadSize + 4;
  static_assert(kHeads * kSumPitch * 4 <= kShortTiles * kTileBytes);

  // Beside a tile's place in a ring.
  struct Slot {
    uint64_t arrived;   // barrier: the tile's bytes are there
    uint64_t attended;  // of a tile of keys: a bit for each of its tokens
  };

  struct Shared {
    Slot slots[kWarps][kTiles];
    float base[kWarps][kHeads];  // MmaSoftmax
    float sum[kWarps][kHeads];
    int ranked;  // LengthOrder
    // The warps' rings, one after the other.
    alignas(128) uint8_t tiles[kWarps * kTiles * kTileBytes];

    __device__ __forceinline__ float (*Sums(int warp, int ring_tiles)) [kSumPitch] {
      return reinterpret_cast<float (*)[kSumPitch]>(tiles + warp * ring_tiles * kTileBytes);
    }
  };

  static_assert(sizeof(Shared) <= 99 * 1024, "chips with 100 KiB a multiprocessor have no more");

  // Four neighbouring elements of the sums of a head.
  static constexpr int kQuads = kHeadSize / 4;

  // Behind Shared in a cluster of several CTAs: what they hand to this one, for the quads that it
  // merges.
  struct Handed {
    static constexpr int kMost = kHeads * kQuads + kMostClusterSize;
    float4 out[kMost];
    float2 weight[kMost];  // base and sum
  };
  static __device__ __forceinline__ Handed& HandedBehind(Shared& shared) {
    static_assert(sizeof(Shared) % alignof(float4) == 0);
    return *reinterpret_cast<Handed*>(&shared + 1);
  }

  static __device__ __forceinline__ int RingTiles(const SplitPlan& plan) {
    return kBulkCopies && plan.short_rings ? kShortTiles : kTiles;
  }
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_MMA_SHAPE_CUH_
