// The kernel's headers and names do not depend on the repository's name.
#include <cstdint>
#include <cstdio>
#include <vector>

#include "csrc/kernels/cache/swap_blocks.h"

int main() {
  const std::vector<uint8_t> src = {10, 11, 20, 21, 30, 31};
  std::vector<uint8_t> dst(6, 0xEE);
  const std::vector<int64_t> mapping = {2, 0, 0, 1};  // source and destination blocks

  stablekv::SwapBlocksParams params{};
  params.src = src.data();
  params.dst = dst.data();
  params.block_bytes = 2;
  params.block_mapping = mapping.data();
  params.num_copies = 2;
  params.mapping_row_stride = 2;
  params.mapping_column_stride = 1;
  const stablekv::Status status = stablekv::SwapBlocksCpu(params, &stablekv::SerialFor);
  if (!status.ok() || dst != std::vector<uint8_t>{30, 31, 10, 11, 0xEE, 0xEE}) {
    std::printf("%s: got %d %d %d %d %d %d\n", status.message().c_str(), dst[0], dst[1], dst[2],
                dst[3], dst[4], dst[5]);
    return 1;
  }
}
