// Sequences in the order of their lengths: a long one that begins last would end alone.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_LENGTH_ORDER_CUH_
#define STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_LENGTH_ORDER_CUH_

#include <cstdint>

#include "csrc/kernels/attention/cuda/mma/async_copy.cuh"
#include "csrc/kernels/attention/cuda/mma/mma_args.h"

namespace stablekv {

// The sequence that `rank` others come before: longer ones, and as long ones with a smaller number.
// For all threads of a CTA together, before the first tiles are sent for, whose place it uses. At
// most kMmaMostRanked sequences.
template <typename Shape>
__device__ __forceinline__ int SequenceOfRank(const MmaDecodeArgs& args, int rank,
                                              typename Shape::Shared& shared) {
  static_assert(kMmaMostRanked * sizeof(int) <= sizeof(shared.tiles));
  int* const lengths = reinterpret_cast<int*>(shared.tiles);
  const int count = static_cast<int>(args.params.num_seqs);
  const int padded = (count + 3) / 4 * 4;
  const int thread = static_cast<int>(threadIdx.x);
  const int first = args.params.seq_lens[0];
  bool same = true;
#pragma unroll 1
  for (int i = thread; i < padded; i += Shape::kThreads) {
    lengths[i] = i < count ? args.params.seq_lens[i] : INT32_MIN;
    same &= i >= count || lengths[i] == first;
  }
  FenceBulkCopies();  // what the threads do with the tiles' place comes before the tiles
  if (__syncthreads_and(same)) return rank;
#pragma unroll 1
  for (int i = thread; i < count; i += Shape::kThreads) {
    const int length = lengths[i];
    int before = 0;
    for (int j = 0; j < padded; j += 4) {
      const int4 other = *reinterpret_cast<const int4*>(&lengths[j]);
      before += other.x > length || (other.x == length && j < i) ? 1 : 0;
      before += other.y > length || (other.y == length && j + 1 < i) ? 1 : 0;
      before += other.z > length || (other.z == length && j + 2 < i) ? 1 : 0;
      before += other.w > length || (other.w == length && j + 3 < i) ? 1 : 0;
    }
    if (before == rank) shared.ranked = i;
  }
  FenceBulkCopies();
  __syncthreads();
  return shared.ranked;
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_LENGTH_ORDER_CUH_
