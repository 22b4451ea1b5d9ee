// indexer_k_quant_and_cache on CUDA.
#include <cstdint>

#include "csrc/kernels/common/alignment.h"
#include "csrc/kernels/common/cuda/launch.h"
#include "csrc/kernels/common/cuda/launch_config.h"
#include "csrc/kernels/common/cuda/number_format.cuh"
#include "csrc/kernels/common/cuda/overlap.cuh"
#include "csrc/kernels/common/cuda/store_row.cuh"
#include "csrc/kernels/common/cuda/warp.cuh"
#include "csrc/kernels/common/float_bits.h"
#include "csrc/kernels/common/slot_mapping.h"
#include "csrc/kernels/mla/group_scale.h"
#include "csrc/kernels/mla/indexer_k_quant_and_cache.h"

namespace stablekv {
namespace {

constexpr int kWarps = 8;   // of a CTA; a warp writes one group of one token at a time
constexpr int kVector = 4;  // elements: a group of 128 keeps every lane busy

struct QuantArgs {
  IndexerKQuantAndCacheParams params;
  int64_t num_slots;
  int64_t num_groups;  // of a token
  bool vectors;        // groups of k are at multiples of 8 bytes, their values at multiples of 4
  bool scale_words;    // scales are at multiples of 4 bytes
};

template <typename Format>
__device__ __forceinline__ float LargestMagnitude(const uint16_t* from, int64_t count, bool vectors,
                                                  int lane) {
  float amax = 0.0f;  // fmaxf takes the other one of a NaN
  if (vectors) {
    for (int64_t i = lane * kVector; i < count; i += kWarpThreads * kVector) {
      Pack<uint16_t, kVector> loaded;
      loaded.Load(from + i);
#pragma unroll
      for (int j = 0; j < kVector; ++j) {
        amax = fmaxf(amax, fabsf(Decode<Format>(loaded.numbers[j])));
      }
    }
  } else {
    for (int64_t i = lane; i < count; i += kWarpThreads) {
      amax = fmaxf(amax, fabsf(Decode<Format>(from[i])));
    }
  }
  return WarpMax(amax);
}

template <typename Format>
__device__ __forceinline__ void StoreQuotients(const uint16_t* from, int64_t count, float scale,
                                               bool vectors, int lane, uint8_t* to) {
  const auto code = [scale](uint16_t bits) {
    return Fp8E4M3Format::Encode(__fdiv_rn(Decode<Format>(bits), scale));
  };
  if (vectors) {
    for (int64_t i = lane * kVector; i < count; i += kWarpThreads * kVector) {
      Pack<uint16_t, kVector> loaded;
      Pack<uint8_t, kVector> codes;
      loaded.Load(from + i);
#pragma unroll
      for (int j = 0; j < kVector; ++j) codes.numbers[j] = code(loaded.numbers[j]);
      codes.Store(to + i);
    }
  } else {
    for (int64_t i = lane; i < count; i += kWarpThreads) to[i] = code(from[i]);
  }
}

template <ElementType kElement>
__global__ void __launch_bounds__(kWarps* kWarpThreads)
    IndexerKQuantAndCacheKernel(const __grid_constant__ QuantArgs args) {
  WaitForEarlierKernels();
  LetNextKernelStart();
  using Format = ElementFormat<kElement>;
  const IndexerKQuantAndCacheParams& params = args.params;
  const int lane = threadIdx.x % kWarpThreads;
  const int warp = threadIdx.x / kWarpThreads;
  const int64_t num_items = params.num_tokens * args.num_groups;
  const int64_t step = static_cast<int64_t>(gridDim.x) * kWarps;
  for (int64_t item = static_cast<int64_t>(blockIdx.x) * kWarps + warp; item < num_items;
       item += step) {
    const int64_t token = item / args.num_groups;
    const int64_t group = item - token * args.num_groups;
    const int64_t slot = params.slot_mapping[token];
    if (!IsSlot(slot, args.num_slots)) continue;  // all lanes alike
    const SlotPlace place = PlaceOfSlot(slot, params.block_size);
    const int64_t first = group * params.quant_block_size;
    const uint16_t* const from =
        static_cast<const uint16_t*>(params.k) + token * params.k_stride + first;
    uint8_t* const cache = static_cast<uint8_t*>(params.kv_cache);

    const float amax = LargestMagnitude<Format>(from, params.quant_block_size, args.vectors, lane);
    const float scale = IndexerGroupScale(amax, params.power_of_two);
    StoreQuotients<Format>(from, params.quant_block_size, scale, args.vectors, lane,
                           cache + IndexerValueAt(params, place.block, place.offset, first));
    uint8_t* const scale_to = cache + IndexerScaleAt(params, place.block, place.offset, group);
    if (args.scale_words) {
      if (lane == 0) *reinterpret_cast<float*>(scale_to) = scale;
    } else if (lane < 4) {
      scale_to[lane] = static_cast<uint8_t>(FloatToBits(scale) >> (8 * lane));
    }
  }
}

template <ElementType kElement>
Status Launch(const QuantArgs& args, CudaStream stream) {
  const int64_t num_items = args.params.num_tokens * args.num_groups;
  return LaunchOverlapping<QuantArgs>(
      "indexer_k_quant_and_cache", IndexerKQuantAndCacheKernel<kElement>,
      GridFor((num_items + kWarps - 1) / kWarps), dim3(kWarps * kWarpThreads), stream, args);
}

}  // namespace

Status IndexerKQuantAndCacheCuda(const IndexerKQuantAndCacheParams& params, CudaStream stream) {
  QuantArgs args = {};
  args.params = params;
  args.num_slots = params.num_blocks * params.block_size;
  if (params.num_tokens == 0 || args.num_slots == 0) return Status();
  args.num_groups = params.head_dim / params.quant_block_size;
  args.vectors = params.quant_block_size % kVector == 0 &&
                 IsAligned(params.k, {params.k_stride * 2}, 2 * kVector) &&
                 IsAligned(params.kv_cache, {params.cache_block_stride}, kVector);
  args.scale_words = IsAligned(params.kv_cache,
                               {params.cache_block_stride, params.block_size * params.head_dim}, 4);
  if (params.element == ElementType::kFloat16) return Launch<ElementType::kFloat16>(args, stream);
  if (params.element == ElementType::kBFloat16) {
    return Launch<ElementType::kBFloat16>(args, stream);
  }
  return Status::Error("indexer_k_quant_and_cache on CUDA: a type that is not 16 bits");
}

}  // namespace stablekv
