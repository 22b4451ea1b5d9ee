// Gathers of fp8_ds_mla tokens on CUDA, unpacked to bfloat16.
#include <cstdint>

#include "csrc/kernels/cache/cuda/row_lanes.cuh"
#include "csrc/kernels/cache/gather_upconvert.h"
#include "csrc/kernels/common/cuda/launch.h"
#include "csrc/kernels/common/cuda/launch_config.h"
#include "csrc/kernels/common/cuda/number_format.cuh"
#include "csrc/kernels/common/cuda/overlap.cuh"
#include "csrc/kernels/mla/ds_mla_layout.h"

namespace stablekv {
namespace {

using From = Fp8E4M3Format;
using To = BFloat16Format;

constexpr int kLogLanes = 5;  // a warp a row: 16 codes a lane
constexpr int kLanes = 1 << kLogLanes;
constexpr int kCodes = 16;
static_assert(kLanes * kCodes == DsMlaLayout::kNopeElements);
static_assert(DsMlaLayout::kTileElements % kCodes == 0);
constexpr int64_t kRopeLanes = DsMlaLayout::kRopeElements * 2 / 16;  // 16 bytes a lane

struct UpconvertArgs {
  GatherUpconvertParams params;
  bool vectors;  // tokens and rows begin at multiples of 16 bytes
};

// Two products to bfloat16, the first one in the low half.
__device__ __forceinline__ uint32_t Narrow2(float first, float second, float scale) {
  return To::Encode(__fmul_rn(first, scale)) |
         static_cast<uint32_t>(To::Encode(__fmul_rn(second, scale))) << 16;
}

__device__ __forceinline__ uint4 Widen8(uint32_t low, uint32_t high, float scale) {
  float values[8];
  From::DecodeWord(low, values);
  From::DecodeWord(high, values + 4);
  return make_uint4(Narrow2(values[0], values[1], scale), Narrow2(values[2], values[3], scale),
                    Narrow2(values[4], values[5], scale), Narrow2(values[6], values[7], scale));
}

__device__ __forceinline__ void UpconvertVectors(const uint8_t* token, uint16_t* row, int lane) {
  const uint4 codes = __ldg(reinterpret_cast<const uint4*>(token) + lane);
  const int64_t tile = lane * kCodes / DsMlaLayout::kTileElements;
  const float scale = __ldg(reinterpret_cast<const float*>(token + DsMlaLayout::kScalesAt) + tile);
  uint4 rope = {};
  if (lane < kRopeLanes) {
    rope = __ldg(reinterpret_cast<const uint4*>(token + DsMlaLayout::kRopeAt) + lane);
  }
  auto* to = reinterpret_cast<uint4*>(row);
  to[2 * lane] = Widen8(codes.x, codes.y, scale);
  to[2 * lane + 1] = Widen8(codes.z, codes.w, scale);
  if (lane < kRopeLanes) to[DsMlaLayout::kNopeElements / 8 + lane] = rope;
}

// For tokens at any address.
__device__ __forceinline__ void UpconvertBytes(const uint8_t* token, uint16_t* row, int lane) {
  const uint8_t* scales = token + DsMlaLayout::kScalesAt;
  for (int64_t d = lane; d < DsMlaLayout::kNopeElements; d += kLanes) {
    const uint8_t* bytes = scales + d / DsMlaLayout::kTileElements * 4;
    const uint32_t bits =
        bytes[0] | bytes[1] << 8 | bytes[2] << 16 | static_cast<uint32_t>(bytes[3]) << 24;
    row[d] = To::Encode(__fmul_rn(Decode<From>(token[d]), __uint_as_float(bits)));
  }
  const uint8_t* rope = token + DsMlaLayout::kRopeAt;
  for (int64_t d = lane; d < DsMlaLayout::kRopeElements; d += kLanes) {
    row[DsMlaLayout::kNopeElements + d] = static_cast<uint16_t>(rope[2 * d] | rope[2 * d + 1] << 8);
  }
}

__global__ void __launch_bounds__(kRowThreads)
    GatherUpconvertKernel(const __grid_constant__ UpconvertArgs args) {
  WaitForEarlierKernels();
  LetNextKernelStart();
  const GatherUpconvertParams& params = args.params;
  const int lane = threadIdx.x % kLanes;
  ForEachRow(params.rows.num_rows, kLogLanes, [&](int64_t row) {
    const RowSource source = SourceOfRow(params.rows, row);
    if (source.fault != RowFault::kNone) return;
    const uint8_t* token = static_cast<const uint8_t*>(params.from) +
                           source.block * params.block_stride + source.offset * params.token_stride;
    uint16_t* to = static_cast<uint16_t*>(params.to) + row * params.row_stride;
    if (args.vectors) {
      UpconvertVectors(token, to, lane);
    } else {
      UpconvertBytes(token, to, lane);
    }
  });
}

}  // namespace

Status GatherUpconvertCuda(const GatherUpconvertParams& params, CudaStream stream) {
  if (params.rows.num_rows == 0 || params.rows.num_seqs == 0) return Status();
  UpconvertArgs args = {};
  args.params = params;
  args.vectors =
      ((reinterpret_cast<uintptr_t>(params.from) | reinterpret_cast<uintptr_t>(params.to) |
        static_cast<uint64_t>(params.block_stride | params.token_stride | 2 * params.row_stride)) %
       16) == 0;
  return LaunchOverlapping<UpconvertArgs>("gather_upconvert", GatherUpconvertKernel,
                                          RowGrid(params.rows.num_rows, kLogLanes),
                                          dim3(kRowThreads), stream, args);
}

}  // namespace stablekv
