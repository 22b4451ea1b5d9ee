// What the decode attention kernel is launched with, and the shape of its work.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_DECODE_ARGS_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_DECODE_ARGS_H_

#include <cstdint>

#include "csrc/kernels/attention/paged_attention.h"

namespace stablekv {

// A work item of one CTA is (sequence, partition of its tokens, kv head, tile of the query heads
// that share the kv head). Items are numbered with the tile running fastest, so that CTAs that
// read the same keys and values are neighbours.
struct DecodeArgs {
  PagedAttentionParams params;
  PagedAttentionScratch scratch;  // if partitioned
  bool partitioned;               // results go to the scratch, not to params.out
  int64_t num_partitions;         // of a sequence; 1 unless partitioned
  int64_t partition_size;         // tokens
  int64_t num_work_items;
  int group_size;      // query heads of a kv head
  int num_tiles;       // of a group
  int heads_per_tile;  // of all tiles but the last
  int block_shift;     // block_size == 1 << block_shift
  bool key_vectors;    // 16-byte loads of keys are aligned
  bool value_vectors;  // whole-chunk loads of values are aligned
};

// Threads of a CTA. Each warp takes tokens of its own; the warps meet once, at the end.
inline constexpr int kDecodeWarps = 4;
inline constexpr int kDecodeThreads = 32 * kDecodeWarps;

// The largest tile of query heads for a head size: as many as the accumulators leave registers for.
constexpr int MaxHeadsPerTile(int64_t head_size) { return head_size <= 128 ? 8 : 4; }

// Launches the kernel for the head size and head tile of `args` and for caches of numbers in
// `Format` (number_format.cuh). One translation unit instantiates each (decode_instance.cu).
template <typename Format>
Status LaunchDecode(const DecodeArgs& args, CudaStream stream);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_DECODE_ARGS_H_
