// Gathers of bytes on CUDA.
#include <cstdint>

#include "csrc/kernels/cache/cuda/row_lanes.cuh"
#include "csrc/kernels/cache/gather_rows.h"
#include "csrc/kernels/common/cuda/launch.h"
#include "csrc/kernels/common/cuda/launch_config.h"
#include "csrc/kernels/common/cuda/overlap.cuh"

namespace stablekv {
namespace {

// A power of two up to 16 that divides every address of the piece.
int UnitOf(const GatherPiece& piece) {
  const uint64_t bits = reinterpret_cast<uintptr_t>(piece.from) |
                        reinterpret_cast<uintptr_t>(piece.to) |
                        static_cast<uint64_t>(piece.block_stride | piece.token_stride |
                                              piece.row_stride | piece.bytes);
  int unit = 16;
  while (bits % unit != 0) unit /= 2;
  return unit;
}

struct GatherArgs {
  GatherRowsParams params;
  int units[2];   // bytes that one lane moves at once, of each piece
  int log_lanes;  // lanes of a row, as a power of two
};

template <typename Unit>
__device__ __forceinline__ void CopyPiece(const GatherPiece& piece, const RowSource& source,
                                          int64_t row, int lane, int lanes) {
  constexpr int kAtOnce = 4;  // loads in flight
  const auto* from = reinterpret_cast<const Unit*>(static_cast<const char*>(piece.from) +
                                                   source.block * piece.block_stride +
                                                   source.offset * piece.token_stride);
  auto* to = reinterpret_cast<Unit*>(static_cast<char*>(piece.to) + row * piece.row_stride);
  const int64_t count = piece.bytes / static_cast<int64_t>(sizeof(Unit));
  for (int64_t first = lane; first < count; first += kAtOnce * lanes) {
    Unit units[kAtOnce];
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k) {
      if (first + k * lanes < count) units[k] = __ldg(from + first + k * lanes);
    }
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k) {
      if (first + k * lanes < count) to[first + k * lanes] = units[k];
    }
  }
}

__global__ void __launch_bounds__(kRowThreads)
    GatherRowsKernel(const __grid_constant__ GatherArgs args) {
  WaitForEarlierKernels();
  LetNextKernelStart();
  const int lanes = 1 << args.log_lanes;
  const int lane = threadIdx.x & (lanes - 1);
  const GatherRowsParams& params = args.params;
  ForEachRow(params.rows.num_rows, args.log_lanes, [&](int64_t row) {
    const RowSource source = SourceOfRow(params.rows, row);
    if (source.fault != RowFault::kNone) return;
    for (int i = 0; i < params.num_pieces; ++i) {
      const GatherPiece& piece = params.pieces[i];
      switch (args.units[i]) {
        case 16:
          CopyPiece<uint4>(piece, source, row, lane, lanes);
          break;
        case 8:
          CopyPiece<uint2>(piece, source, row, lane, lanes);
          break;
        case 4:
          CopyPiece<uint32_t>(piece, source, row, lane, lanes);
          break;
        case 2:
          CopyPiece<uint16_t>(piece, source, row, lane, lanes);
          break;
        default:
          CopyPiece<uint8_t>(piece, source, row, lane, lanes);
      }
    }
  });
}

}  // namespace

Status GatherRowsCuda(const GatherRowsParams& params, CudaStream stream) {
  if (params.rows.num_rows == 0 || params.rows.num_seqs == 0) return Status();
  GatherArgs args = {};
  args.params = params;
  for (int64_t i = 0; i < params.num_pieces; ++i) args.units[i] = UnitOf(params.pieces[i]);
  args.log_lanes = LogLanesFor(params.pieces[0].bytes / args.units[0]);
  return LaunchOverlapping<GatherArgs>("gather_rows", GatherRowsKernel,
                                       RowGrid(params.rows.num_rows, args.log_lanes),
                                       dim3(kRowThreads), stream, args);
}

}  // namespace stablekv
