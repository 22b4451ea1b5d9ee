// concat_and_cache_mla_rope_fused on CUDA.
#include <algorithm>
#include <cstdint>

#include "csrc/kernels/common/alignment.h"
#include "csrc/kernels/common/cuda/launch.h"
#include "csrc/kernels/common/cuda/launch_config.h"
#include "csrc/kernels/common/cuda/number_format.cuh"
#include "csrc/kernels/common/cuda/overlap.cuh"
#include "csrc/kernels/common/cuda/store_row.cuh"
#include "csrc/kernels/common/divide.h"
#include "csrc/kernels/common/slot_mapping.h"
#include "csrc/kernels/common/type_dispatch.h"
#include "csrc/kernels/mla/concat_and_cache_mla_rope_fused.h"
#include "csrc/kernels/mla/cuda/rotary.cuh"

namespace stablekv {
namespace {

constexpr int kThreads = 256;  // of a CTA, which has one token at a time

struct FusedArgs {
  ConcatAndCacheMlaRopeFusedParams params;
  int64_t num_slots;
  int64_t num_pairs;    // of a row
  int log_lanes;        // threads that share a row, as a power of two
  bool rotary_vectors;  // 16-byte accesses to q_pe, k_pe and cos_sin_cache are aligned
  bool kv_c_vectors;    // StoreRow's vectors are aligned
};

// Whether the token is one to work on, and not padding nor out of range.
__device__ __forceinline__ bool IsToken(const FusedArgs& args, int64_t slot, int64_t position) {
  return IsSlot(slot, args.num_slots) && position >= 0 && position < args.params.num_positions;
}

// Elements that are loaded or stored together: 16 bytes of them, or one.
template <typename Bits, int kCount>
__device__ __forceinline__ void LoadElements(const Bits* from, Bits (&elements)[kCount]) {
  if constexpr (kCount == 1) {
    elements[0] = *from;
  } else {
    Pack<Bits, kCount> pack;
    pack.Load(from);
#pragma unroll
    for (int i = 0; i < kCount; ++i) elements[i] = pack.numbers[i];
  }
}
template <typename Bits, int kCount>
__device__ __forceinline__ void StoreElements(const Bits (&elements)[kCount], Bits* to) {
  if constexpr (kCount == 1) {
    *to = elements[0];
  } else {
    Pack<Bits, kCount> pack;
#pragma unroll
    for (int i = 0; i < kCount; ++i) pack.numbers[i] = elements[i];
    pack.Store(to);
  }
}

// Where the pairs [first, first + kCount) of a row are: two pieces of kCount elements, which hold
// the first and the second elements of the pairs, or the pairs themselves.
template <ElementType kElement, int kCount>
struct Pairs {
  using Bits = typename ElementFormat<kElement>::Bits;
  int64_t at[2];
  bool is_neox;

  __device__ __forceinline__ Pairs(int64_t first, int64_t num_pairs, bool is_neox)
      : at{is_neox ? first : 2 * first, is_neox ? num_pairs + first : 2 * first + kCount},
        is_neox(is_neox) {}

  // Rotates them in place and leaves the result in `rotated`.
  __device__ __forceinline__ void Rotate(const Bits* __restrict__ cos, const Bits* __restrict__ sin,
                                         Bits* row, Bits (&rotated)[2][kCount]) const {
    Bits cosines[kCount];
    Bits sines[kCount];
    LoadElements(cos, cosines);
    LoadElements(sin, sines);
    LoadElements(row + at[0], rotated[0]);
    LoadElements(row + at[1], rotated[1]);
    if (is_neox) {
#pragma unroll
      for (int i = 0; i < kCount; ++i) {
        RotatePair<kElement>(cosines[i], sines[i], rotated[0][i], rotated[1][i]);
      }
    } else {
#pragma unroll
      for (int i = 0; i < kCount; ++i) {
        RotatePair<kElement>(cosines[i], sines[i], rotated[2 * i / kCount][2 * i % kCount],
                             rotated[(2 * i + 1) / kCount][(2 * i + 1) % kCount]);
      }
    }
    StoreElements(rotated[0], row + at[0]);
    StoreElements(rotated[1], row + at[1]);
  }
};

// Rotates the rows of all heads and of the key, and caches the latter.
template <ElementType kElement, CacheType kCache, int kCount>
__device__ __forceinline__ void RotateRows(
    const FusedArgs& args, int64_t token, int64_t position, float scale,
    typename CacheFormat<kElement, kCache>::Bits* __restrict__ pe_cache) {
  using Bits = typename ElementFormat<kElement>::Bits;
  const ConcatAndCacheMlaRopeFusedParams& params = args.params;
  const Bits* const cos =
      static_cast<const Bits*>(params.cos_sin_cache) + position * params.cos_sin_stride;
  const Bits* const sin = cos + args.num_pairs;
  Bits* const q = static_cast<Bits*>(params.q_pe) + token * params.q_pe_token_stride;
  Bits* const k = static_cast<Bits*>(params.k_pe) + token * params.k_pe_stride;
  const int lanes = 1 << args.log_lanes;
  const int lane = threadIdx.x & (lanes - 1);
  for (int64_t row = threadIdx.x >> args.log_lanes; row <= params.num_heads;
       row += kThreads >> args.log_lanes) {
    const bool is_key = row == params.num_heads;
    Bits* const elements = is_key ? k : q + row * params.q_pe_head_stride;
    for (int64_t first = lane * kCount; first < args.num_pairs; first += lanes * kCount) {
      const Pairs<kElement, kCount> pairs(first, args.num_pairs, params.is_neox);
      Bits rotated[2][kCount];
      pairs.Rotate(cos + first, sin + first, elements, rotated);
      if (!is_key) continue;
#pragma unroll
      for (int piece = 0; piece < 2; ++piece) {
#pragma unroll
        for (int i = 0; i < kCount; ++i) {
          pe_cache[pairs.at[piece] + i] = StoredBits<kElement, kCache>(rotated[piece][i], scale);
        }
      }
    }
  }
}

template <ElementType kElement, CacheType kCache>
__global__ void __launch_bounds__(kThreads)
    ConcatAndCacheMlaRopeFusedKernel(const __grid_constant__ FusedArgs args) {
  WaitForEarlierKernels();
  LetNextKernelStart();
  using Source = typename ElementFormat<kElement>::Bits;
  using Target = typename CacheFormat<kElement, kCache>::Bits;
  const ConcatAndCacheMlaRopeFusedParams& params = args.params;
  const float scale = kCache == CacheType::kAuto ? 1.0f : *params.scale;
  for (int64_t token = blockIdx.x; token < params.num_tokens; token += gridDim.x) {
    const int64_t slot = params.slot_mapping[token];
    if (slot < 0) continue;
    const int64_t position = params.positions[token];
    if (!IsToken(args, slot, position)) continue;
    const SlotPlace place = PlaceOfSlot(slot, params.block_size);
    Target* const cache = static_cast<Target*>(params.kv_cache) +
                          place.block * params.cache_block_stride +
                          place.offset * params.cache_token_stride;
    Target* const pe_cache = cache + params.kv_lora_rank;
    if (args.rotary_vectors) {
      RotateRows<kElement, kCache, kElementsPerVector<kElement>>(args, token, position, scale,
                                                                 pe_cache);
    } else {
      RotateRows<kElement, kCache, 1>(args, token, position, scale, pe_cache);
    }
    StoreRow<kElement, kCache>(static_cast<const Source*>(params.kv_c) + token * params.kv_c_stride,
                               cache, params.kv_lora_rank, scale, args.kv_c_vectors,
                               static_cast<int>(threadIdx.x), kThreads);
  }
}

template <ElementType kElement, CacheType kCache>
Status Launch(const FusedArgs& args, CudaStream stream) {
  return LaunchOverlapping<FusedArgs>(
      "concat_and_cache_mla_rope_fused", ConcatAndCacheMlaRopeFusedKernel<kElement, kCache>,
      GridFor(args.params.num_tokens), dim3(kThreads), stream, args);
}

FusedArgs MakeArgs(const ConcatAndCacheMlaRopeFusedParams& params) {
  const int64_t bytes = SizeOf(params.element);
  const int64_t cache_bytes = SizeOf(params.cache, params.element);
  FusedArgs args = {};
  args.params = params;
  args.num_slots = params.num_blocks * params.block_size;
  args.num_pairs = params.pe_dim / 2;
  args.rotary_vectors =
      args.num_pairs * bytes % 16 == 0 &&
      IsAligned(params.q_pe, {params.q_pe_token_stride * bytes, params.q_pe_head_stride * bytes},
                16) &&
      IsAligned(params.k_pe, {params.k_pe_stride * bytes}, 16) &&
      IsAligned(params.cos_sin_cache, {params.cos_sin_stride * bytes}, 16);
  args.kv_c_vectors =
      IsAligned(params.kv_c, {params.kv_c_stride * bytes}, 16) &&
      IsAligned(params.kv_cache,
                {params.cache_block_stride * cache_bytes, params.cache_token_stride * cache_bytes},
                CacheVectorBytes(params.element, params.cache));
  const int64_t pieces = args.rotary_vectors ? args.num_pairs * bytes / 16 : args.num_pairs;
  args.log_lanes = std::min(CeilLog2(pieces), 5);
  return args;
}

}  // namespace

Status ConcatAndCacheMlaRopeFusedCuda(const ConcatAndCacheMlaRopeFusedParams& params,
                                      CudaStream stream) {
  const FusedArgs args = MakeArgs(params);
  if (params.num_tokens == 0 || args.num_slots == 0) return Status();
  return ForTypes(
      "concat_and_cache_mla_rope_fused on CUDA", params.element, params.cache,
      [&](auto element, auto cache) { return Launch<element.value, cache.value>(args, stream); });
}

}  // namespace stablekv
