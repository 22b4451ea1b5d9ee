#include "csrc/kernels/cache/swap_blocks.h"

namespace stablekv {

std::vector<MemoryCopy> ListCopies(const SwapBlocksParams& params) {
  std::vector<MemoryCopy> copies;
  copies.reserve(static_cast<size_t>(params.num_copies));
  for (int64_t i = 0; i < params.num_copies; ++i) {
    const int64_t* const row = params.block_mapping + i * params.mapping_row_stride;
    const MemoryCopy copy = {
        static_cast<const uint8_t*>(params.src) + row[0] * params.block_bytes,
        static_cast<uint8_t*>(params.dst) + row[params.mapping_column_stride] * params.block_bytes,
        params.block_bytes};
    if (copy.from != copy.to) copies.push_back(copy);
  }
  return copies;
}

Status SwapBlocksCpu(const SwapBlocksParams& params, ParallelFor parallel_for) {
  const std::vector<MemoryCopy> copies = ListCopies(params);
  if (AreIndependent(copies)) {
    RunCopies(copies, parallel_for);
  } else {
    RunCopiesInOrder(copies);
  }
  return Status();
}

}  // namespace stablekv
