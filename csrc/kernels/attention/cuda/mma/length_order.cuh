// Sequences in the order of their lengths: a long one that begins last would end alone.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_LENGTH_ORDER_CUH_
#define STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_LENGTH_ORDER_CUH_

#include <cstdint>

#include "csrc/kernels/attention/cuda/mma/async_copy.cuh"
#include "csrc/kernels/attention/cuda/mma/mma_args.h"
#include "csrc/kernels/common/cuda/overlap.cuh"

namespace stablekv {

// Finds the sequence that a number of others come before: longer ones, and as long ones with a
// smaller number. For all threads of a CTA together, before the first tiles are sent for, whose
// place it uses. At most kMmaMostRanked sequences.
template <typename Shape>
class LengthOrder {
 public:
  __device__ __forceinline__ LengthOrder(const MmaDecodeArgs& args, int rank,
                                         typename Shape::Shared& shared)
      : args_(args), rank_(rank), shared_(shared), lengths_(reinterpret_cast<int*>(shared.tiles)) {
    static_assert(kMmaMostRanked * sizeof(int) <= sizeof(shared.tiles));
  }

  __device__ __forceinline__ int Find() {
    const int count = static_cast<int>(args_.params.num_seqs);
    const int padded = (count + 3) / 4 * 4;
    first_ = LoadUncached(args_.params.seq_lens);
    bool equal = true;
#pragma unroll
    for (int k = 0; k < kMine; ++k) {
      const int i = SequenceOf(k);
      mine_[k] = i < count ? LoadUncached(args_.params.seq_lens + i) : INT32_MIN;
      equal &= i >= count || mine_[k] == first_;
      if (i < padded) lengths_[i] = mine_[k];
    }
    FenceBulkCopies();  // what the threads do with the tiles' place comes before the tiles
    if (__syncthreads_and(equal)) return rank_;
#pragma unroll 1
    for (int i = SequenceOf(0); i < count; i += Shape::kThreads) {
      const int length = lengths_[i];
      int before = 0;
      for (int j = 0; j < padded; j += 4) {
        const int4 other = *reinterpret_cast<const int4*>(&lengths_[j]);
        before += other.x > length || (other.x == length && j < i) ? 1 : 0;
        before += other.y > length || (other.y == length && j + 1 < i) ? 1 : 0;
        before += other.z > length || (other.z == length && j + 2 < i) ? 1 : 0;
        before += other.w > length || (other.w == length && j + 3 < i) ? 1 : 0;
      }
      if (before == rank_) shared_.ranked = i;
    }
    FenceBulkCopies();
    __syncthreads();
    return shared_.ranked;
  }

  // Whether this thread finds other lengths than Find() did.
  __device__ __forceinline__ bool HasChanged() const {
    bool changed = LoadUncached(args_.params.seq_lens) != first_;
#pragma unroll
    for (int k = 0; k < kMine; ++k) {
      const int i = SequenceOf(k);
      if (i < args_.params.num_seqs) {
        changed |= LoadUncached(args_.params.seq_lens + i) != mine_[k];
      }
    }
    return changed;
  }

 private:
  static constexpr int kMine = kMmaMostRanked / Shape::kThreads;
  static_assert(kMine * Shape::kThreads == kMmaMostRanked);

  static __device__ __forceinline__ int SequenceOf(int k) {
    return static_cast<int>(threadIdx.x) + k * Shape::kThreads;
  }

  const MmaDecodeArgs& args_;
  int rank_;
  typename Shape::Shared& shared_;
  int* lengths_;
  // Lengths, which each thread has fetched by itself: two may have different ones of a sequence.
  int first_;
  int mine_[kMine];
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_LENGTH_ORDER_CUH_
