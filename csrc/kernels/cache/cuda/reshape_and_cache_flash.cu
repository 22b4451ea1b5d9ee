// reshape_and_cache_flash on CUDA.
#include <algorithm>
#include <cstdint>

#include "csrc/kernels/cache/cuda/fast_quotient.cuh"
#include "csrc/kernels/cache/reshape_and_cache_flash.h"
#include "csrc/kernels/common/alignment.h"
#include "csrc/kernels/common/cuda/launch.h"
#include "csrc/kernels/common/cuda/launch_config.h"
#include "csrc/kernels/common/cuda/number_format.cuh"
#include "csrc/kernels/common/cuda/overlap.cuh"
#include "csrc/kernels/common/cuda/store_row.cuh"
#include "csrc/kernels/common/slot_mapping.h"
#include "csrc/kernels/common/type_dispatch.h"

namespace stablekv {
namespace {

constexpr int kCtaThreads = 64;
constexpr int64_t kPieceElements = 512;  // of a row, for one group of threads
constexpr int kMinGroupThreads = 4;

// A group of threads writes one piece of one head of one token at a time, key and value.
struct FlashArgs {
  ReshapeAndCacheFlashParams params;
  int64_t num_slots;
  int64_t pieces_per_row;
  int64_t num_pieces;  // in all
  int group_threads;   // a power of two, up to a warp
  bool key_vectors;    // StoreRow's vectors are aligned
  bool value_vectors;
  bool only_vectors;  // both, and rows are whole vectors
};

template <ElementType kElement, CacheType kCache>
__device__ __forceinline__ void WritePiece(const FlashArgs& args, const FlashSide& side,
                                           int64_t token, const SlotPlace& place, int64_t head,
                                           int64_t first, bool vectors, int thread) {
  const ReshapeAndCacheFlashParams& params = args.params;
  const auto* const from = static_cast<const typename ElementFormat<kElement>::Bits*>(side.source) +
                           SourceOffset(side, token, head) + first;
  auto* const to = static_cast<typename CacheFormat<kElement, kCache>::Bits*>(side.cache) +
                   CacheOffset(side, place, head) + first;
  const int64_t left = params.head_size - first;
  const float scale = kCache == CacheType::kAuto ? 1.0f : side.scale[head * params.scale_stride];
  StoreRow<kElement, kCache>(from, to, left < kPieceElements ? left : kPieceElements, scale,
                             vectors, thread, args.group_threads);
}

// Vectors of a piece that a thread of a full group has.
template <ElementType kElement>
inline constexpr int kMaxVectors =
    static_cast<int>(kPieceElements) / kElementsPerVector<kElement> / kWarpThreads;

// Both sides of a piece by vectors alone. Everything that is read is on its way before anything is
// waited for, the slot too.
template <ElementType kElement, CacheType kCache, int kVectors>
__device__ __forceinline__ void WriteVectors(const FlashArgs& args, int64_t token, int64_t head,
                                             int64_t first, int thread) {
  using Source = typename ElementFormat<kElement>::Bits;
  using Format = CacheFormat<kElement, kCache>;
  using Stored = typename Format::Bits;
  constexpr bool kScaled = kCache != CacheType::kAuto;
  constexpr int kCount = kElementsPerVector<kElement>;
  const ReshapeAndCacheFlashParams& params = args.params;
  const FlashSide* const sides[2] = {&params.key, &params.value};
  const int64_t left = params.head_size - first;
  const int count = static_cast<int>(left < kPieceElements ? left : kPieceElements);
  const int64_t slot = params.slot_mapping[token];
  float scales[2];
  Pack<Source, kCount> loaded[2][kVectors];
#pragma unroll
  for (int side = 0; side < 2; ++side) {
    scales[side] = kScaled ? sides[side]->scale[head * params.scale_stride] : 1.0f;
    const auto* const from = static_cast<const Source*>(sides[side]->source) +
                             SourceOffset(*sides[side], token, head) + first;
#pragma unroll
    for (int v = 0; v < kVectors; ++v) {
      const int element = (thread + v * args.group_threads) * kCount;
      if (element < count) loaded[side][v].Load(from + element);
    }
  }
  if (!IsSlot(slot, args.num_slots)) return;
  const SlotPlace place = PlaceOfSlot(slot, params.block_size);
#pragma unroll
  for (int side = 0; side < 2; ++side) {
    const FastQuotient quotient(scales[side]);
    auto* const to =
        static_cast<Stored*>(sides[side]->cache) + CacheOffset(*sides[side], place, head) + first;
#pragma unroll
    for (int v = 0; v < kVectors; ++v) {
      const int element = (thread + v * args.group_threads) * kCount;
      if (element >= count) continue;
      Pack<Stored, kCount> stored;
      if constexpr (kScaled) {
        float numbers[kCount];
#pragma unroll
        for (int i = 0; i < kCount; ++i) {
          numbers[i] = Decode<ElementFormat<kElement>>(loaded[side][v].numbers[i]);
        }
        quotient.template Encode<Format>(numbers, stored.words);
      } else {
#pragma unroll
        for (int i = 0; i < kCount; ++i) stored.numbers[i] = loaded[side][v].numbers[i];
      }
      stored.Store(to + element);
    }
  }
}

// `kVectors` are those of a thread, where args.only_vectors.
template <ElementType kElement, CacheType kCache, int kVectors>
__global__ void __launch_bounds__(kCtaThreads)
    ReshapeAndCacheFlashKernel(const __grid_constant__ FlashArgs args) {
  const ReshapeAndCacheFlashParams& params = args.params;
  WaitForEarlierKernels();
  LetNextKernelStart();
  const int thread = static_cast<int>(threadIdx.x) % args.group_threads;
  const int group = static_cast<int>(threadIdx.x) / args.group_threads;
  const int groups = kCtaThreads / args.group_threads;
  const int64_t step = static_cast<int64_t>(gridDim.x) * groups;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * groups + group; i < args.num_pieces;
       i += step) {
    const int64_t row = i / args.pieces_per_row;
    const int64_t first = (i - row * args.pieces_per_row) * kPieceElements;
    const int64_t token = row / params.num_heads;
    const int64_t head = row - token * params.num_heads;
    if (args.only_vectors) {
      WriteVectors<kElement, kCache, kVectors>(args, token, head, first, thread);
      continue;
    }
    const int64_t slot = params.slot_mapping[token];
    if (!IsSlot(slot, args.num_slots)) continue;
    const SlotPlace place = PlaceOfSlot(slot, params.block_size);
    WritePiece<kElement, kCache>(args, params.key, token, place, head, first, args.key_vectors,
                                 thread);
    WritePiece<kElement, kCache>(args, params.value, token, place, head, first, args.value_vectors,
                                 thread);
  }
}

bool HasVectors(const ReshapeAndCacheFlashParams& params, const FlashSide& side) {
  const int64_t source_bytes = SizeOf(params.element);
  const int64_t cache_bytes = SizeOf(params.cache, params.element);
  return IsAligned(
             side.source,
             {side.source_token_stride * source_bytes, side.source_head_stride * source_bytes},
             16) &&
         IsAligned(side.cache,
                   {side.cache_block_stride * cache_bytes, side.cache_token_stride * cache_bytes,
                    side.cache_head_stride * cache_bytes},
                   CacheVectorBytes(params.element, params.cache));
}

template <ElementType kElement, CacheType kCache, int kVectors>
Status Launch(const FlashArgs& args, CudaStream stream) {
  const int64_t groups = kCtaThreads / args.group_threads;
  return LaunchOverlapping<FlashArgs>(
      "reshape_and_cache_flash", ReshapeAndCacheFlashKernel<kElement, kCache, kVectors>,
      GridFor((args.num_pieces + groups - 1) / groups), dim3(kCtaThreads), stream, args);
}

template <ElementType kElement, CacheType kCache>
Status LaunchForRows(const FlashArgs& args, CudaStream stream) {
  // Fewer vectors take fewer registers, so that more threads have theirs under way.
  const int64_t elements = std::min(args.params.head_size, kPieceElements);
  if (elements <= int64_t{args.group_threads} * kElementsPerVector<kElement>) {
    return Launch<kElement, kCache, 1>(args, stream);
  }
  return Launch<kElement, kCache, kMaxVectors<kElement>>(args, stream);
}

}  // namespace

Status ReshapeAndCacheFlashCuda(const ReshapeAndCacheFlashParams& unjoined, CudaStream stream) {
  FlashArgs args = {};
  args.params = JoinHeads(unjoined);
  const ReshapeAndCacheFlashParams& params = args.params;
  args.num_slots = params.num_blocks * params.block_size;
  args.pieces_per_row = (params.head_size + kPieceElements - 1) / kPieceElements;
  args.num_pieces = params.num_tokens * params.num_heads * args.pieces_per_row;
  if (args.num_pieces == 0 || args.num_slots == 0) return Status();

  args.key_vectors = HasVectors(params, params.key);
  args.value_vectors = HasVectors(params, params.value);
  const bool vectors = args.key_vectors && args.value_vectors;
  const int64_t per_thread = vectors ? 16 / SizeOf(params.element) : 1;
  const int64_t useful = std::min(params.head_size, kPieceElements) / per_thread;
  args.group_threads = kMinGroupThreads;
  while (args.group_threads < kWarpThreads && args.group_threads < useful) args.group_threads *= 2;
  args.only_vectors = vectors && params.head_size % per_thread == 0;

  return ForTypes("reshape_and_cache_flash on CUDA", params.element, params.cache,
                  [&](auto element, auto cache) {
                    return LaunchForRows<element.value, cache.value>(args, stream);
                  });
}

}  // namespace stablekv
