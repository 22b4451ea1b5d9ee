// Gathers on CUDA that widen fp8 elements on the way.
#include <cstdint>

#include "csrc/kernels/cache/cuda/row_lanes.cuh"
#include "csrc/kernels/cache/gather_dequant.h"
#include "csrc/kernels/common/cuda/launch.h"
#include "csrc/kernels/common/cuda/launch_config.h"
#include "csrc/kernels/common/cuda/number_format.cuh"
#include "csrc/kernels/common/cuda/overlap.cuh"
#include "csrc/kernels/common/type_dispatch.h"

namespace stablekv {
namespace {

struct DequantArgs {
  GatherDequantParams params;
  bool vectors;   // 16-byte stores are aligned, and the loads that belong to them
  int log_lanes;  // lanes of a row, as a power of two
};

// 4 codes, the low byte first, to elements. The product's NaN is the one of all bits but the sign.
template <typename To, typename From>
__device__ __forceinline__ void Widen4(uint32_t codes, float scale, typename To::Bits* out) {
  float values[4];
  From::DecodeWord(codes, values);
#pragma unroll
  for (int i = 0; i < 4; ++i) out[i] = To::Encode(__fmul_rn(values[i], scale));
}

template <typename To, typename From>
__device__ __forceinline__ void WidenRow(const uint8_t* from, typename To::Bits* to, float scale,
                                         const DequantArgs& args, int lane, int lanes) {
  constexpr int kVector = 16 / static_cast<int>(sizeof(typename To::Bits));  // elements
  const int64_t count = args.params.entry_size;
  if (!args.vectors) {
    for (int64_t i = lane; i < count; i += lanes) {
      to[i] = To::Encode(__fmul_rn(Decode<From>(from[i]), scale));
    }
    return;
  }
  for (int64_t i = int64_t{kVector} * lane; i < count; i += kVector * lanes) {
    union {
      uint4 vector;
      typename To::Bits elements[kVector];
    } out;
    if constexpr (kVector == 4) {
      Widen4<To, From>(__ldg(reinterpret_cast<const uint32_t*>(from + i)), scale, out.elements);
    } else {
      const uint2 codes = __ldg(reinterpret_cast<const uint2*>(from + i));
      Widen4<To, From>(codes.x, scale, out.elements);
      Widen4<To, From>(codes.y, scale, out.elements + 4);
    }
    *reinterpret_cast<uint4*>(to + i) = out.vector;
  }
}

template <ElementType kElement, CacheType kCache>
__global__ void __launch_bounds__(kRowThreads)
    GatherDequantKernel(const __grid_constant__ DequantArgs args) {
  WaitForEarlierKernels();
  LetNextKernelStart();
  using To = ElementFormat<kElement>;
  using From = CacheFormat<kElement, kCache>;
  const GatherDequantParams& params = args.params;
  const float scale = *params.scale;
  const int lanes = 1 << args.log_lanes;
  const int lane = threadIdx.x & (lanes - 1);
  ForEachRow(params.rows.num_rows, args.log_lanes, [&](int64_t row) {
    const RowSource source = SourceOfRow(params.rows, row);
    if (source.fault != RowFault::kNone) return;
    WidenRow<To, From>(static_cast<const uint8_t*>(params.from) +
                           source.block * params.block_stride + source.offset * params.token_stride,
                       static_cast<typename To::Bits*>(params.to) + row * params.row_stride, scale,
                       args, lane, lanes);
  });
}

template <ElementType kElement, CacheType kCache>
Status Launch(const DequantArgs& args, CudaStream stream) {
  return LaunchOverlapping<DequantArgs>("gather_dequant", GatherDequantKernel<kElement, kCache>,
                                        RowGrid(args.params.rows.num_rows, args.log_lanes),
                                        dim3(kRowThreads), stream, args);
}

// Whether a vector of `vector` elements, of which the cache's take a byte, is aligned everywhere.
bool CanUseVectors(const GatherDequantParams& params, int64_t vector) {
  const auto from = reinterpret_cast<uintptr_t>(params.from);
  const auto to = reinterpret_cast<uintptr_t>(params.to);
  const auto strides = static_cast<uint64_t>(params.block_stride | params.token_stride |
                                             params.row_stride | params.entry_size);
  return to % 16 == 0 && (from | strides) % static_cast<uint64_t>(vector) == 0;
}

}  // namespace

Status GatherDequantCuda(const GatherDequantParams& params, CudaStream stream) {
  if (params.rows.num_rows == 0 || params.rows.num_seqs == 0) return Status();
  if (params.cache == CacheType::kAuto) return GatherRowsCuda(CopyOf(params), stream);
  const int64_t vector = 16 / SizeOf(params.element);
  DequantArgs args = {};
  args.params = params;
  args.vectors = CanUseVectors(params, vector);
  args.log_lanes = LogLanesFor(params.entry_size / (args.vectors ? vector : 1));
  constexpr const char* kWhat = "gather_dequant on CUDA";
  return ForElement(kWhat, params.element, [&](auto element) {
    return ForFp8(kWhat, params.cache,
                  [&](auto cache) { return Launch<element.value, cache.value>(args, stream); });
  });
}

}  // namespace stablekv
