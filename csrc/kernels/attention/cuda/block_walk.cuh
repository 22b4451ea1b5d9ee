// Which tokens a CTA attends to, and where their keys and values lie.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_BLOCK_WALK_CUH_
#define STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_BLOCK_WALK_CUH_

#include <cstdint>

#include "csrc/kernels/attention/cuda/decode_args.h"

namespace stablekv {

// The coordinates of a work item.
struct WorkItem {
  int64_t sequence;
  int64_t partition;
  int64_t kv_head;
  int64_t first_head;  // query head
  int num_heads;       // of the tile
  int64_t length;      // tokens of the sequence
  int64_t begin;       // first token of the item
  int64_t end;         // one past its last token

  static __device__ WorkItem At(const DecodeArgs& args, int64_t index) {
    const PagedAttentionParams& params = args.params;
    WorkItem item;
    const int64_t tile = index % args.num_tiles;
    index /= args.num_tiles;
    item.kv_head = index % params.num_kv_heads;
    index /= params.num_kv_heads;
    item.partition = index % args.num_partitions;
    item.sequence = index / args.num_partitions;
    const int first_in_group = static_cast<int>(tile) * args.heads_per_tile;
    item.first_head = item.kv_head * args.group_size + first_in_group;
    item.num_heads = min(args.heads_per_tile, args.group_size - first_in_group);
    item.length = AttendedLength<int64_t>(params.seq_lens[item.sequence], params.max_seq_len);
    item.begin = min(item.partition * args.partition_size, item.length);
    item.end = min(item.begin + args.partition_size, item.length);
    return item;
  }
};

// The block table of a sequence, seen from one work item.
class BlockWalk {
 public:
  __device__ BlockWalk(const DecodeArgs& args, const WorkItem& item)
      : table_(args.params.block_tables + item.sequence * args.params.block_tables_stride),
        end_(item.end),
        num_blocks_(args.params.num_blocks),
        block_shift_(args.block_shift),
        sparse_(args.params.block_sparse.vert_stride > 1) {
    if (sparse_) SetPattern(args.params, item);
  }

  // The cache block that holds `token`, or -1 when the token is not attended to: it is past the
  // end, skipped by the sparse pattern, or its table entry names no block of the cache.
  __device__ __forceinline__ int BlockOf(int64_t token) const {
    if (token >= end_) return -1;
    const int64_t index = token >> block_shift_;
    if (sparse_ && !Attends(index)) return -1;
    const int block = table_[index];
    return block >= 0 && block < num_blocks_ ? block : -1;
  }

 private:
  // See BlockSparseParams. The pattern is one for all heads of a tile: where it slides from query
  // head to query head, the launcher makes tiles of one head.
  __device__ void SetPattern(const PagedAttentionParams& params, const WorkItem& item) {
    const BlockSparseParams& sparse = params.block_sparse;
    const int64_t step = sparse.head_sliding_step;
    offset_ = step >= 0 ? (sparse.tp_rank * params.num_heads + item.first_head) * step + 1
                        : (sparse.tp_rank * params.num_kv_heads + item.kv_head) * -step + 1;
    vert_stride_ = sparse.vert_stride;
    sparse_block_size_ = sparse.block_size;
    first_local_ = (item.length - 1) / sparse_block_size_ - sparse.local_blocks + 1;
  }

  __device__ bool Attends(int64_t index) const {
    const int64_t sparse_block = (index << block_shift_) / sparse_block_size_;
    return sparse_block >= first_local_ || (sparse_block + offset_) % vert_stride_ == 0;
  }

  const int32_t* table_;
  int64_t end_;
  int64_t num_blocks_;
  int block_shift_;
  bool sparse_;
  int64_t offset_ = 0;
  int64_t vert_stride_ = 1;
  int64_t sparse_block_size_ = 1;
  int64_t first_local_ = 0;
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_BLOCK_WALK_CUH_
