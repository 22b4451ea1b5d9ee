// concat_and_cache_mla on CUDA into the 656 bytes of ds_mla_layout.h.
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
#include "csrc/kernels/mla/cuda/concat_and_cache_ds_mla.h"
#include "csrc/kernels/mla/ds_mla_layout.h"
#include "csrc/kernels/mla/group_scale.h"

namespace stablekv {
namespace {

using Layout = DsMlaLayout;

constexpr int kWarps = 8;  // of a CTA; a warp writes one token at a time

// What a lane has of a token.
constexpr int kNope = Layout::kNopeElements / kWarpThreads;
constexpr int kRope = Layout::kRopeElements / kWarpThreads;
constexpr int kLanesPerTile = Layout::kTileElements / kNope;
static_assert(kNope == 16 && kRope == 2 && kLanesPerTile == 8);

struct DsMlaArgs {
  ConcatAndCacheMlaParams params;
  int64_t num_slots;
  bool read_vectors;   // 16-byte loads of kv_c are aligned
  bool write_vectors;  // tokens of the cache begin at multiples of 16 bytes
};

// Stores a word at an address that may be any.
__device__ __forceinline__ void StoreWord(uint32_t word, bool aligned, uint8_t* to) {
  if (aligned) {
    *reinterpret_cast<uint32_t*>(to) = word;
    return;
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) to[i] = static_cast<uint8_t>(word >> (8 * i));
}

template <typename Format>
__device__ __forceinline__ void WriteToken(const uint16_t* __restrict__ kv_c,
                                           const uint16_t* __restrict__ k_pe, bool read_vectors,
                                           bool write_vectors, int lane, uint8_t* __restrict__ to) {
  kv_c += lane * kNope;
  uint16_t bits[kNope];
  if (read_vectors) {
#pragma unroll
    for (int i = 0; i < kNope; i += 8) {
      Pack<uint16_t, 8> loaded;
      loaded.Load(kv_c + i);
#pragma unroll
      for (int j = 0; j < 8; ++j) bits[i + j] = loaded.numbers[j];
    }
  } else {
#pragma unroll
    for (int i = 0; i < kNope; ++i) bits[i] = kv_c[i];
  }

  float values[kNope];
  float amax = 0.0f;
#pragma unroll
  for (int i = 0; i < kNope; ++i) {
    values[i] = Decode<Format>(bits[i]);
    amax = fmaxf(amax, fabsf(values[i]));  // the other one of a NaN
  }
#pragma unroll
  for (int distance = 1; distance < kLanesPerTile; distance *= 2) {
    amax = fmaxf(amax, __shfl_xor_sync(kFullWarp, amax, distance));
  }
  const float scale = DsMlaTileScale(amax);

  Pack<uint8_t, kNope> codes;
#pragma unroll
  for (int i = 0; i < kNope; ++i) {
    codes.numbers[i] = Fp8E4M3Format::Encode(__fdiv_rn(values[i], scale));
  }
  uint8_t* const nope_to = to + lane * kNope;
  if (write_vectors) {
    codes.Store(nope_to);
  } else {
#pragma unroll
    for (int i = 0; i < kNope; ++i) nope_to[i] = codes.numbers[i];
  }
  if (lane % kLanesPerTile == 0) {
    StoreWord(FloatToBits(scale), write_vectors, to + Layout::kScalesAt + lane / kLanesPerTile * 4);
  }
  const uint32_t low = k_pe[lane * kRope];
  const uint32_t high = k_pe[lane * kRope + 1];
  StoreWord(low | (high << 16), write_vectors, to + Layout::kRopeAt + lane * kRope * 2);
}

template <ElementType kElement>
__global__ void __launch_bounds__(kWarps* kWarpThreads)
    ConcatAndCacheDsMlaKernel(const __grid_constant__ DsMlaArgs args) {
  WaitForEarlierKernels();
  LetNextKernelStart();
  const ConcatAndCacheMlaParams& params = args.params;
  const int lane = threadIdx.x % kWarpThreads;
  const int warp = threadIdx.x / kWarpThreads;
  const int64_t step = static_cast<int64_t>(gridDim.x) * kWarps;
  for (int64_t token = static_cast<int64_t>(blockIdx.x) * kWarps + warp; token < params.num_tokens;
       token += step) {
    const int64_t slot = params.slot_mapping[token];
    if (!IsSlot(slot, args.num_slots)) continue;  // all lanes alike
    const SlotPlace place = PlaceOfSlot(slot, params.block_size);
    WriteToken<ElementFormat<kElement>>(
        static_cast<const uint16_t*>(params.kv_c) + token * params.kv_c_stride,
        static_cast<const uint16_t*>(params.k_pe) + token * params.k_pe_stride, args.read_vectors,
        args.write_vectors, lane,
        static_cast<uint8_t*>(params.kv_cache) + place.block * params.cache_block_stride +
            place.offset * params.cache_token_stride);
  }
}

template <ElementType kElement>
Status Launch(const DsMlaArgs& args, CudaStream stream) {
  return LaunchOverlapping<DsMlaArgs>("concat_and_cache_ds_mla",
                                      ConcatAndCacheDsMlaKernel<kElement>,
                                      GridFor((args.params.num_tokens + kWarps - 1) / kWarps),
                                      dim3(kWarps * kWarpThreads), stream, args);
}

}  // namespace

Status ConcatAndCacheDsMlaCuda(const ConcatAndCacheMlaParams& params, CudaStream stream) {
  DsMlaArgs args = {};
  args.params = params;
  args.num_slots = params.num_blocks * params.block_size;
  args.read_vectors = IsAligned(params.kv_c, {params.kv_c_stride * 2}, 16);
  args.write_vectors =
      IsAligned(params.kv_cache, {params.cache_block_stride, params.cache_token_stride}, 16);
  if (params.element == ElementType::kFloat16) return Launch<ElementType::kFloat16>(args, stream);
  if (params.element == ElementType::kBFloat16) {
    return Launch<ElementType::kBFloat16>(args, stream);
  }
  return Status::Error("concat_and_cache_mla on CUDA: fp8_ds_mla of a type that is not 16 bits");
}

}  // namespace stablekv
