// reshape_and_cache on CUDA.
#include <cstdint>

#include "csrc/kernels/cache/cuda/reshape_and_cache_pages.h"
#include "csrc/kernels/cache/reshape_and_cache.h"
#include "csrc/kernels/common/alignment.h"
#include "csrc/kernels/common/cuda/launch.h"
#include "csrc/kernels/common/cuda/number_format.cuh"
#include "csrc/kernels/common/cuda/store_row.cuh"
#include "csrc/kernels/common/type_dispatch.h"

namespace stablekv {
namespace {

// A CTA moves tiles of kTileTokens tokens by kTileElements elements of one head, of the keys or of
// the values. A tile is read along the head and written along the tokens, through shared memory:
// the tokens of a prompt have consecutive slots, and these are neighbours in both caches.
constexpr int kTileTokens = 32;
constexpr int kTileElements = 64;
constexpr int kThreads = 256;
constexpr int kRows = kThreads / kTileTokens;  // threads that share a token when writing

struct TileArgs {
  ReshapeAndCacheParams params;
  int64_t num_slots;
  int64_t tiles_per_head;
  int64_t num_work_items;
  bool read_vectors[2];  // 16-byte loads are aligned: keys, values
  bool write_vectors;    // a key chunk is 16 bytes and aligned
};

// Where a tile comes from, and where it goes.
struct Tile {
  bool is_value;
  int64_t head;
  int64_t first_token;
  int first_element;
  int num_tokens;
  int num_elements;

  static __device__ Tile At(const TileArgs& args, int64_t index) {
    const ReshapeAndCacheParams& params = args.params;
    Tile tile;
    tile.is_value = index % 2 != 0;
    index /= 2;
    tile.first_element = static_cast<int>(index % args.tiles_per_head) * kTileElements;
    index /= args.tiles_per_head;
    tile.head = index % params.num_heads;
    tile.first_token = index / params.num_heads * kTileTokens;
    tile.num_tokens = static_cast<int>(
        min(params.num_tokens - tile.first_token, static_cast<int64_t>(kTileTokens)));
    tile.num_elements = static_cast<int>(
        min(params.head_size - tile.first_element, static_cast<int64_t>(kTileElements)));
    return tile;
  }
};

// A tile on its way. Lanes read one token each: rows are padded to an odd number of what a lane
// reads at once, 16 bytes of a key and one element of a value, so that they fall on all banks.
template <typename Bits>
struct Staging {
  static constexpr int kKeyPitch = kTileElements + 16 / static_cast<int>(sizeof(Bits));
  static constexpr int kValuePitch = kTileElements + 4 / static_cast<int>(sizeof(Bits));
  __align__(16) Bits elements[kTileTokens * kKeyPitch];
  int64_t slots[kTileTokens];  // -1: a token to skip

  __device__ __forceinline__ Bits* Row(const Tile& tile, int token) {
    return elements + token * (tile.is_value ? kValuePitch : kKeyPitch);
  }
};

template <ElementType kElement, CacheType kCache, typename Bits>
__device__ void ReadTile(const TileArgs& args, const Tile& tile, float scale,
                         Staging<Bits>& staging) {
  using Source = typename ElementFormat<kElement>::Bits;
  const ReshapeAndCacheParams& params = args.params;
  const int64_t token_stride = tile.is_value ? params.value_token_stride : params.key_token_stride;
  const int64_t head_stride = tile.is_value ? params.value_head_stride : params.key_head_stride;
  const Source* source = static_cast<const Source*>(tile.is_value ? params.value : params.key) +
                         tile.first_token * token_stride + tile.head * head_stride +
                         tile.first_element;
  constexpr int kVector = 16 / static_cast<int>(sizeof(Source));
  constexpr int kVectors = kTileElements / kVector;  // of a row
  if (args.read_vectors[tile.is_value ? 1 : 0]) {
    for (int i = threadIdx.x; i < kTileTokens * kVectors; i += kThreads) {
      const int token = i / kVectors;
      const int element = i % kVectors * kVector;
      if (token >= tile.num_tokens || staging.slots[token] < 0) continue;
      Bits* row = staging.Row(tile, token);
      if (element + kVector > tile.num_elements) {
        for (int e = element; e < tile.num_elements; ++e) {
          row[e] = StoredBits<kElement, kCache>(source[token * token_stride + e], scale);
        }
        continue;
      }
      union {
        uint4 vector;
        Source elements[kVector];
      } loaded;
      const Source* from = source + token * token_stride + element;
      loaded.vector = __ldg(reinterpret_cast<const uint4*>(from));
#pragma unroll
      for (int e = 0; e < kVector; ++e) {
        row[element + e] = StoredBits<kElement, kCache>(loaded.elements[e], scale);
      }
    }
    return;
  }
  for (int i = threadIdx.x; i < kTileTokens * kTileElements; i += kThreads) {
    const int token = i / kTileElements;
    const int element = i % kTileElements;
    if (token >= tile.num_tokens || staging.slots[token] < 0) continue;
    if (element >= tile.num_elements) continue;
    staging.Row(tile, token)[element] =
        StoredBits<kElement, kCache>(source[token * token_stride + element], scale);
  }
}

template <typename Bits>
__device__ void WriteTile(const TileArgs& args, const Tile& tile, Staging<Bits>& staging) {
  const ReshapeAndCacheParams& params = args.params;
  const int token = threadIdx.x % kTileTokens;
  const int64_t slot = staging.slots[token];
  if (slot < 0) return;
  const int64_t block = slot / params.block_size;
  const int64_t offset = slot % params.block_size;
  const int first = threadIdx.x / kTileTokens;
  const Bits* row = staging.Row(tile, token);
  if (tile.is_value) {
    Bits* target = static_cast<Bits*>(params.value_cache) +
                   block * params.value_cache_block_stride +
                   tile.head * params.value_cache_head_stride +
                   tile.first_element * params.block_size + offset;
    for (int e = first; e < tile.num_elements; e += kRows) {
      target[e * params.block_size] = row[e];
    }
    return;
  }
  Bits* target = static_cast<Bits*>(params.key_cache) + block * params.key_cache_block_stride +
                 tile.head * params.key_cache_head_stride;
  if (args.write_vectors) {
    constexpr int kX = 16 / static_cast<int>(sizeof(Bits));
    target += (tile.first_element / kX * params.block_size + offset) * kX;
    for (int chunk = first; chunk < tile.num_elements / kX; chunk += kRows) {
      *reinterpret_cast<uint4*>(target + chunk * params.block_size * kX) =
          *reinterpret_cast<const uint4*>(row + chunk * kX);
    }
    return;
  }
  for (int e = first; e < tile.num_elements; e += kRows) {
    const int64_t element = tile.first_element + e;
    const int64_t chunk = element / params.x;
    target[(chunk * params.block_size + offset) * params.x + element % params.x] = row[e];
  }
}

template <ElementType kElement, CacheType kCache>
__global__ void __launch_bounds__(kThreads)
    ReshapeAndCacheKernel(const __grid_constant__ TileArgs args) {
  using Bits = typename CacheFormat<kElement, kCache>::Bits;
  __shared__ Staging<Bits> staging;
  const ReshapeAndCacheParams& params = args.params;
  const bool scaled = kCache != CacheType::kAuto;
  const float key_scale = scaled ? *params.k_scale : 1.0f;
  const float value_scale = scaled ? *params.v_scale : 1.0f;
  for (int64_t index = blockIdx.x; index < args.num_work_items; index += gridDim.x) {
    const Tile tile = Tile::At(args, index);
    __syncthreads();  // the tile before is written
    if (threadIdx.x < kTileTokens) {
      int64_t slot = -1;
      if (threadIdx.x < tile.num_tokens) slot = params.slot_mapping[tile.first_token + threadIdx.x];
      staging.slots[threadIdx.x] = slot < args.num_slots ? slot : -1;
    }
    __syncthreads();
    ReadTile<kElement, kCache>(args, tile, tile.is_value ? value_scale : key_scale, staging);
    __syncthreads();
    WriteTile(args, tile, staging);
  }
}

template <ElementType kElement, CacheType kCache>
Status Launch(const TileArgs& args, CudaStream stream) {
  return LaunchKernel<TileArgs>("reshape_and_cache", ReshapeAndCacheKernel<kElement, kCache>,
                                GridFor(args.num_work_items), dim3(kThreads), stream, args);
}

}  // namespace

Status ReshapeAndCacheCuda(const ReshapeAndCacheParams& params, CudaStream stream) {
  if (PagesCover(params)) return LaunchPages(params, stream);
  TileArgs args = {};
  args.params = params;
  args.num_slots = params.num_blocks * params.block_size;
  args.tiles_per_head = (params.head_size + kTileElements - 1) / kTileElements;
  const int64_t token_tiles = (params.num_tokens + kTileTokens - 1) / kTileTokens;
  args.num_work_items = token_tiles * params.num_heads * args.tiles_per_head * 2;
  if (args.num_work_items == 0 || args.num_slots == 0) return Status();
  const int64_t source_bytes = SizeOf(params.element);
  const int64_t cache_bytes = SizeOf(params.cache, params.element);
  args.read_vectors[0] = IsAligned(
      params.key, {params.key_token_stride * source_bytes, params.key_head_stride * source_bytes},
      16);
  args.read_vectors[1] = IsAligned(
      params.value,
      {params.value_token_stride * source_bytes, params.value_head_stride * source_bytes}, 16);
  args.write_vectors =
      params.x * cache_bytes == 16 && IsAligned(params.key_cache,
                                                {params.key_cache_block_stride * cache_bytes,
                                                 params.key_cache_head_stride * cache_bytes},
                                                16);
  return ForTypes(
      "reshape_and_cache on CUDA", params.element, params.cache,
      [&](auto element, auto cache) { return Launch<element.value, cache.value>(args, stream); });
}

}  // namespace stablekv
