#include "csrc/ops/block_sparse.h"

#include <limits>
#include <string>

#include "csrc/ops/check.h"
#include "csrc/ops/memory.h"

namespace stablekv {

Status CheckBlockSparse(const char* op, const BlockSparseParams& wanted, int64_t num_heads,
                        int64_t max_seq_len, BlockSparseParams* params) {
  *params = BlockSparseParams{};
  if (!wanted.active()) return Status();

  if (wanted.block_size < 1) {
    return ArgumentError(op, "blocksparse_block_size",
                         "be positive when blocksparse_vert_stride > 1", wanted.block_size);
  }
  if (wanted.local_blocks < 0) {
    return ArgumentError(op, "blocksparse_local_blocks", "be >= 0 when blocksparse_vert_stride > 1",
                         wanted.local_blocks);
  }
  if (wanted.tp_rank < 0) {
    return ArgumentError(op, "tp_rank", "be >= 0 when blocksparse_vert_stride > 1", wanted.tp_rank);
  }

  // The largest offset is (tp_rank * num_heads + num_heads - 1) * |step| + 1, and a block number is
  // added to it.
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  const int64_t step = wanted.head_sliding_step;
  const int64_t heads =
      wanted.tp_rank == kMax ? kMax : SaturatingMultiply(wanted.tp_rank + 1, num_heads);
  if (heads == kMax) {
    return ArgumentError(op, "tp_rank",
                         "be small enough that (tp_rank + 1) * num_heads fits in 64 bits",
                         wanted.tp_rank);
  }
  const bool fits = step != std::numeric_limits<int64_t>::min() &&
                    SaturatingMultiply(heads, step < 0 ? -step : step) < kMax - max_seq_len;
  if (!fits) {
    return ArgumentError(op, "blocksparse_head_sliding_step",
                         "be small enough that (tp_rank + 1) * num_heads * |step| fits in 64 bits",
                         std::to_string(step) + " with tp_rank " + std::to_string(wanted.tp_rank));
  }
  *params = wanted;
  return Status();
}

}  // namespace stablekv
