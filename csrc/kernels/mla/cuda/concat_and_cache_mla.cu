// concat_and_cache_mla on CUDA, where a cache element is an element or its fp8.
#include <cstdint>

#include "csrc/kernels/common/alignment.h"
#include "csrc/kernels/common/cuda/launch.h"
#include "csrc/kernels/common/cuda/launch_config.h"
#include "csrc/kernels/common/cuda/number_format.cuh"
#include "csrc/kernels/common/cuda/overlap.cuh"
#include "csrc/kernels/common/cuda/store_row.cuh"
#include "csrc/kernels/common/slot_mapping.h"
#include "csrc/kernels/common/type_dispatch.h"
#include "csrc/kernels/mla/concat_and_cache_mla.h"
#include "csrc/kernels/mla/cuda/concat_and_cache_ds_mla.h"

namespace stablekv {
namespace {

constexpr int kWarps = 8;  // of a CTA; a warp writes one token at a time

struct WriteArgs {
  ConcatAndCacheMlaParams params;
  int64_t num_slots;
  bool kv_c_vectors;  // StoreRow's vectors are aligned
  bool k_pe_vectors;
};

template <ElementType kElement, CacheType kCache>
__global__ void __launch_bounds__(kWarps* kWarpThreads)
    ConcatAndCacheMlaKernel(const __grid_constant__ WriteArgs args) {
  WaitForEarlierKernels();
  LetNextKernelStart();
  using Source = typename ElementFormat<kElement>::Bits;
  using Target = typename CacheFormat<kElement, kCache>::Bits;
  const ConcatAndCacheMlaParams& params = args.params;
  const int lane = threadIdx.x % kWarpThreads;
  const int warp = threadIdx.x / kWarpThreads;
  const float scale = kCache == CacheType::kAuto ? 1.0f : *params.scale;
  const int64_t step = static_cast<int64_t>(gridDim.x) * kWarps;
  for (int64_t token = static_cast<int64_t>(blockIdx.x) * kWarps + warp; token < params.num_tokens;
       token += step) {
    const int64_t slot = params.slot_mapping[token];
    if (!IsSlot(slot, args.num_slots)) continue;
    const SlotPlace place = PlaceOfSlot(slot, params.block_size);
    Target* const to = static_cast<Target*>(params.kv_cache) +
                       place.block * params.cache_block_stride +
                       place.offset * params.cache_token_stride;
    StoreRow<kElement, kCache>(static_cast<const Source*>(params.kv_c) + token * params.kv_c_stride,
                               to, params.kv_lora_rank, scale, args.kv_c_vectors, lane,
                               kWarpThreads);
    StoreRow<kElement, kCache>(static_cast<const Source*>(params.k_pe) + token * params.k_pe_stride,
                               to + params.kv_lora_rank, params.pe_dim, scale, args.k_pe_vectors,
                               lane, kWarpThreads);
  }
}

template <ElementType kElement, CacheType kCache>
Status Launch(const WriteArgs& args, CudaStream stream) {
  return LaunchOverlapping<WriteArgs>("concat_and_cache_mla",
                                      ConcatAndCacheMlaKernel<kElement, kCache>,
                                      GridFor((args.params.num_tokens + kWarps - 1) / kWarps),
                                      dim3(kWarps * kWarpThreads), stream, args);
}

}  // namespace

Status ConcatAndCacheMlaCuda(const ConcatAndCacheMlaParams& params, CudaStream stream) {
  WriteArgs args = {};
  args.params = params;
  args.num_slots = params.num_blocks * params.block_size;
  if (params.num_tokens == 0 || args.num_slots == 0) return Status();
  if (params.ds_mla) return ConcatAndCacheDsMlaCuda(params, stream);

  const int64_t source_bytes = SizeOf(params.element);
  const int64_t cache_bytes = SizeOf(params.cache, params.element);
  const int64_t vector_bytes = CacheVectorBytes(params.element, params.cache);
  const bool rows_aligned =
      IsAligned(params.kv_cache,
                {params.cache_block_stride * cache_bytes, params.cache_token_stride * cache_bytes},
                vector_bytes);
  args.kv_c_vectors =
      rows_aligned && IsAligned(params.kv_c, {params.kv_c_stride * source_bytes}, 16);
  args.k_pe_vectors = rows_aligned && params.kv_lora_rank * cache_bytes % vector_bytes == 0 &&
                      IsAligned(params.k_pe, {params.k_pe_stride * source_bytes}, 16);
  return ForTypes(
      "concat_and_cache_mla on CUDA", params.element, params.cache,
      [&](auto element, auto cache) { return Launch<element.value, cache.value>(args, stream); });
}

}  // namespace stablekv
