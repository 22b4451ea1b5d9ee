// What the tensor-core decode kernel is launched with.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_MMA_ARGS_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_MMA_ARGS_H_

#include <cstdint>

#include "csrc/kernels/attention/cuda/length_splits.h"
#include "csrc/kernels/attention/cuda/mma/split_plan.h"
#include "csrc/kernels/attention/cuda/share_plan.h"
#include "csrc/kernels/attention/paged_attention.h"
#include "csrc/kernels/common/divisor.h"

namespace stablekv {

// A work item is (sequence, split of its tokens or a share of them, kv head, tile of the query
// heads that share the kv head); a cluster of `plan.cluster_size` CTAs takes one, or a CTA takes
// several. Items are numbered with the tile running fastest, so that clusters that read the same
// keys and values are neighbours.
struct MmaDecodeArgs {
  PagedAttentionParams params;
  PagedAttentionScratch scratch;  // not read unless HasReduction(plan)
  SplitPlan plan;
  LengthSplits splits;
  int64_t split_tokens;  // of a sequence as long as the call says
  int group_size;        // query heads of a kv head
  int num_tiles;         // of a group
  unsigned num_items;    // some shares may be missing
  int heads_per_tile;    // of all tiles but the last
  int block_shift;       // block_size == 1 << block_shift
  // What a CTA takes its number apart by, before anything else.
  int log_cluster_size;
  Divisor tiles;
  Divisor kv_heads;
  Divisor seqs;
  ShareSize shares;  // if the plan has any
};

// Columns of a product of the tensor core, one for each query head. A tile of heads is one product
// wide, or two.
inline constexpr int kMmaHeads = 8;

// What a CTA may have of a multiprocessor's shared memory, at least, where there are clusters: that
// of sm_90 and sm_100. sm_120 has clusters too, but 99 KiB.
inline constexpr int kSharedBytesOfClusters = 227 * 1024;

// CTAs of a cluster, at most.
inline constexpr int kMostClusterSize = 16;

// Head sizes with kernels for tiles of two products, for groups of more than kMmaHeads heads; not
// for fp8 in blocks of kPairedBlockTokens.
constexpr bool HasWideTiles(int64_t head_size) { return head_size == 64 || head_size == 128; }

// Warps of a CTA, given the bytes of a tile (mma_shape.cuh): of small tiles more are needed for as
// much to be on its way, as a step's cost is a latency.
constexpr int MmaWarps(int64_t tile_bytes) {
  return tile_bytes <= 2048 ? 8 : tile_bytes <= 8192 ? 4 : 2;
}

// Tokens that a warp takes at a time, given the bytes of a key: what a step costs whatever its size
// weighs less in a longer one. Block sizes divide it.
constexpr int MmaStepTokens(int64_t key_bytes) { return key_bytes <= 128 ? 64 : 32; }

// Sequences, at most, that are put in the order of their lengths.
inline constexpr int kMmaMostRanked = 256;

// Blocks of fp8 of so many tokens have a kernel of their own.
inline constexpr int kPairedBlockTokens = 8;

// Launches the kernel for the head size of `args` and caches of numbers in `Format`. `kPairs`: of
// fp8 in blocks of kPairedBlockTokens. `kProducts`: that a tile of heads is wide.
template <typename Format, bool kPairs, int kProducts>
Status LaunchMmaDecode(const MmaDecodeArgs& args, CudaStream stream);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_MMA_ARGS_H_
