#include <cstdint>

#include "csrc/kernels/cache/cuda/fast_quotient.cuh"
#include "csrc/kernels/cache/cuda/reshape_and_cache_pages.h"
#include "csrc/kernels/common/alignment.h"
#include "csrc/kernels/common/cuda/launch.h"
#include "csrc/kernels/common/cuda/launch_config.h"
#include "csrc/kernels/common/cuda/number_format.cuh"
#include "csrc/kernels/common/cuda/overlap.cuh"
#include "csrc/kernels/common/cuda/warp.cuh"
#include "csrc/kernels/common/slot_mapping.h"
#include "csrc/kernels/common/type_dispatch.h"

namespace stablekv {
namespace {

// A CTA moves the keys and the values of kTokens tokens, kElements elements of one head. Rows are
// read along the head, 16 bytes a thread and four such loads at once; they go through shared memory
// and are written along the tokens: 16 bytes of a key a token, and all of 8 tokens for an element
// of the values where their slots follow each other.
constexpr int kTokens = 32;
constexpr int kElements = 128;
constexpr int kThreads = 256;
constexpr int kVector = 8;  // elements of a 16-byte load
constexpr int kVectorsPerRow = kElements / kVector;
constexpr int kLoads = kTokens * kVectorsPerRow / kThreads;  // of a thread, for each side
constexpr int kGroup = 8;                                    // tokens that are written together

struct PageArgs {
  ReshapeAndCacheParams params;
  int64_t num_slots;
  int64_t tiles_per_head;
  int64_t num_work_items;
  bool group_stores;  // the slots of a group are aligned in the values of a block
};

struct PageTile {
  int64_t head;
  int64_t first_token;
  int first_element;
  int num_tokens;
  int num_elements;

  __device__ __forceinline__ PageTile(const PageArgs& args, int64_t index) {
    first_element = static_cast<int>(index % args.tiles_per_head) * kElements;
    index /= args.tiles_per_head;
    head = index % args.params.num_heads;
    first_token = index / args.params.num_heads * kTokens;
    num_tokens =
        static_cast<int>(min(args.params.num_tokens - first_token, static_cast<int64_t>(kTokens)));
    num_elements = static_cast<int>(
        min(args.params.head_size - first_element, static_cast<int64_t>(kElements)));
  }
};

// The rows of one side in shared memory, in chunks of 16 bytes. Chunks of a row change places so
// that what a warp reads at once lies on all banks: neighbouring tokens of keys, groups of tokens
// of values.
template <typename Bits, bool kValues>
struct PageRows {
  static constexpr int kChunks = kElements * static_cast<int>(sizeof(Bits)) / 16;
  uint4 chunks[kTokens][kChunks];

  __device__ __forceinline__ uint4* Chunk(int token, int chunk) {
    const int turn = kValues ? token / kGroup * 2 : token;
    return &chunks[token][chunk ^ (turn & 7)];
  }
  __device__ __forceinline__ uint32_t Word(int token, int word) {
    return reinterpret_cast<const uint32_t*>(Chunk(token, word / 4))[word % 4];
  }
};

template <typename Bits>
struct PageShared {
  PageRows<Bits, false> keys;
  PageRows<Bits, true> values;
  int64_t blocks[kTokens];
  int offsets[kTokens];  // -1: a token to skip
  uint32_t grouped;      // bit t: the group of token t has the slots of one aligned run
};

// Looks up where the tokens go. By the first warp, a token a lane.
template <typename Bits>
__device__ __forceinline__ void FindPlaces(const PageArgs& args, const PageTile& tile,
                                           PageShared<Bits>& shared) {
  const int lane = threadIdx.x;
  int64_t slot = -1;
  if (lane < tile.num_tokens) slot = args.params.slot_mapping[tile.first_token + lane];
  const bool present = IsSlot(slot, args.num_slots);
  const int64_t block = present ? slot / args.params.block_size : -1;
  const int offset = present ? static_cast<int>(slot - block * args.params.block_size) : -1;
  const int first = lane / kGroup * kGroup;
  const int64_t first_slot = __shfl_sync(kFullWarp, slot, first);
  const int first_offset = __shfl_sync(kFullWarp, offset, first);
  const bool in_run = args.group_stores && present && slot == first_slot + lane - first &&
                      first_offset % kGroup == 0;
  const uint32_t in_runs = __ballot_sync(kFullWarp, in_run);
  shared.blocks[lane] = block;
  shared.offsets[lane] = offset;
  if (lane == 0) shared.grouped = in_runs;
}

// Eight elements as the cache stores them: 16 bytes of a 16-bit cache, 8 of an fp8 one.
template <ElementType kElement, CacheType kCache, bool kValues, typename Bits>
__device__ __forceinline__ void PutVector(const uint4& vector, const FastQuotient& quotient,
                                          int token, int index, PageRows<Bits, kValues>& rows) {
  if constexpr (kCache == CacheType::kAuto) {
    *rows.Chunk(token, index) = vector;
  } else {
    using Format = ElementFormat<kElement>;
    const uint32_t words[4] = {vector.x, vector.y, vector.z, vector.w};
    float numbers[kVector];
#pragma unroll
    for (int w = 0; w < 4; ++w) Format::DecodeWord(words[w], numbers + 2 * w);
    uint32_t stored[2];
    quotient.Encode<CacheFormat<kElement, kCache>>(numbers, stored);
    reinterpret_cast<uint2*>(rows.Chunk(token, index / 2))[index % 2] = {stored[0], stored[1]};
  }
}

template <typename Bits>
__device__ __forceinline__ void WriteKeys(const PageArgs& args, const PageTile& tile,
                                          PageShared<Bits>& shared) {
  constexpr int kX = 16 / static_cast<int>(sizeof(Bits));
  const ReshapeAndCacheParams& params = args.params;
  const int token = threadIdx.x % kTokens;
  const int offset = shared.offsets[token];
  if (offset < 0) return;
  Bits* const target = static_cast<Bits*>(params.key_cache) +
                       shared.blocks[token] * params.key_cache_block_stride +
                       tile.head * params.key_cache_head_stride +
                       (tile.first_element / kX * params.block_size + offset) * kX;
#pragma unroll
  for (int chunk = threadIdx.x / kTokens; chunk < PageRows<Bits, false>::kChunks;
       chunk += kThreads / kTokens) {
    if (chunk * kX >= tile.num_elements) break;
    *reinterpret_cast<uint4*>(target + chunk * params.block_size * kX) =
        *shared.keys.Chunk(token, chunk);
  }
}

// A thread has the same word, two or four elements, of a group of tokens.
template <typename Bits>
__device__ __forceinline__ void WriteValues(const PageArgs& args, const PageTile& tile,
                                            PageShared<Bits>& shared) {
  constexpr int kPerWord = 4 / static_cast<int>(sizeof(Bits));
  constexpr int kGroups = kTokens / kGroup;
  const ReshapeAndCacheParams& params = args.params;
  const int group = threadIdx.x % kGroups;
  const int first = group * kGroup;
  const int word = threadIdx.x / kGroups;
  if (word * kPerWord >= tile.num_elements) return;
  Bits* const cache = static_cast<Bits*>(params.value_cache) +
                      tile.head * params.value_cache_head_stride +
                      (tile.first_element + word * kPerWord) * params.block_size;
  uint32_t words[kGroup];
#pragma unroll
  for (int i = 0; i < kGroup; ++i) words[i] = shared.values.Word(first + i, word);
  if ((shared.grouped >> first & 0xff) == 0xff) {
    Bits* const target =
        cache + shared.blocks[first] * params.value_cache_block_stride + shared.offsets[first];
    if constexpr (kPerWord == 2) {
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        const unsigned pick = e == 0 ? 0x5410 : 0x7632;
        *reinterpret_cast<uint4*>(target + e * params.block_size) = {
            __byte_perm(words[0], words[1], pick), __byte_perm(words[2], words[3], pick),
            __byte_perm(words[4], words[5], pick), __byte_perm(words[6], words[7], pick)};
      }
    } else {
      // Byte e of all words.
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const unsigned pick = static_cast<unsigned>(e | (4 + e) << 4);
        uint32_t row[2];
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const uint32_t* const four = words + 4 * half;
          row[half] = __byte_perm(__byte_perm(four[0], four[1], pick),
                                  __byte_perm(four[2], four[3], pick), 0x5410);
        }
        *reinterpret_cast<uint2*>(target + e * params.block_size) = {row[0], row[1]};
      }
    }
    return;
  }
#pragma unroll
  for (int i = 0; i < kGroup; ++i) {
    const int offset = shared.offsets[first + i];
    if (offset < 0) continue;
    Bits* const target =
        cache + shared.blocks[first + i] * params.value_cache_block_stride + offset;
#pragma unroll
    for (int e = 0; e < kPerWord; ++e) {
      target[e * params.block_size] =
          static_cast<Bits>(words[i] >> (8 * static_cast<int>(sizeof(Bits)) * e));
    }
  }
}

template <ElementType kElement, CacheType kCache>
__global__ void __launch_bounds__(kThreads) PagesKernel(const __grid_constant__ PageArgs args) {
  using Bits = typename CacheFormat<kElement, kCache>::Bits;
  __shared__ PageShared<Bits> shared;
  const ReshapeAndCacheParams& params = args.params;
  WaitForEarlierKernels();
  LetNextKernelStart();
  constexpr bool kScaled = kCache != CacheType::kAuto;
  const FastQuotient key_quotient(kScaled ? *params.k_scale : 1.0f);
  const FastQuotient value_quotient(kScaled ? *params.v_scale : 1.0f);
  for (int64_t index = blockIdx.x; index < args.num_work_items; index += gridDim.x) {
    const PageTile tile(args, index);
    uint4 keys[kLoads];
    uint4 values[kLoads];
#pragma unroll
    for (int i = 0; i < kLoads; ++i) {
      const int token = (threadIdx.x + i * kThreads) / kVectorsPerRow;
      const int element = threadIdx.x % kVectorsPerRow * kVector;
      if (token >= tile.num_tokens || element >= tile.num_elements) continue;
      const auto* const key = static_cast<const uint16_t*>(params.key) +
                              (tile.first_token + token) * params.key_token_stride +
                              tile.head * params.key_head_stride + tile.first_element + element;
      const auto* const value = static_cast<const uint16_t*>(params.value) +
                                (tile.first_token + token) * params.value_token_stride +
                                tile.head * params.value_head_stride + tile.first_element + element;
      keys[i] = __ldcs(reinterpret_cast<const uint4*>(key));
      values[i] = __ldcs(reinterpret_cast<const uint4*>(value));
    }
    __syncthreads();  // the tile before is written
    if (threadIdx.x < kTokens) FindPlaces(args, tile, shared);
#pragma unroll
    for (int i = 0; i < kLoads; ++i) {
      const int token = (threadIdx.x + i * kThreads) / kVectorsPerRow;
      const int vector = threadIdx.x % kVectorsPerRow;
      if (token >= tile.num_tokens || vector * kVector >= tile.num_elements) continue;
      PutVector<kElement, kCache>(keys[i], key_quotient, token, vector, shared.keys);
      PutVector<kElement, kCache>(values[i], value_quotient, token, vector, shared.values);
    }
    __syncthreads();
    WriteKeys(args, tile, shared);
    WriteValues(args, tile, shared);
  }
}

template <ElementType kElement, CacheType kCache>
Status Launch(const PageArgs& args, CudaStream stream) {
  return LaunchOverlapping<PageArgs>("reshape_and_cache", PagesKernel<kElement, kCache>,
                                     GridFor(args.num_work_items), dim3(kThreads), stream, args);
}

}  // namespace

bool PagesCover(const ReshapeAndCacheParams& params) {
  const int64_t cache_bytes = SizeOf(params.cache, params.element);
  return params.element != ElementType::kFloat32 && params.head_size % kVector == 0 &&
         params.x * cache_bytes == 16 && params.head_size % params.x == 0 &&
         IsAligned(params.key, {params.key_token_stride * 2, params.key_head_stride * 2}, 16) &&
         IsAligned(params.value, {params.value_token_stride * 2, params.value_head_stride * 2},
                   16) &&
         IsAligned(params.key_cache,
                   {params.key_cache_block_stride * cache_bytes,
                    params.key_cache_head_stride * cache_bytes},
                   16);
}

Status LaunchPages(const ReshapeAndCacheParams& params, CudaStream stream) {
  PageArgs args = {};
  args.params = params;
  args.num_slots = params.num_blocks * params.block_size;
  args.tiles_per_head = (params.head_size + kElements - 1) / kElements;
  args.num_work_items =
      (params.num_tokens + kTokens - 1) / kTokens * params.num_heads * args.tiles_per_head;
  if (args.num_work_items == 0 || args.num_slots == 0) return Status();
  const int64_t cache_bytes = SizeOf(params.cache, params.element);
  args.group_stores =
      params.block_size % kGroup == 0 && IsAligned(params.value_cache,
                                                   {params.value_cache_block_stride * cache_bytes,
                                                    params.value_cache_head_stride * cache_bytes},
                                                   16);
  return ForCache("reshape_and_cache on CUDA", params.cache, [&](auto cache) {
    return params.element == ElementType::kFloat16
               ? Launch<ElementType::kFloat16, cache.value>(args, stream)
               : Launch<ElementType::kBFloat16, cache.value>(args, stream);
  });
}

}  // namespace stablekv
