#include <algorithm>
#include <cmath>

#include "benchmarks/cuda/bench_support.h"
#include "benchmarks/cuda/gather_limit.h"
#include "csrc/kernels/attention/cuda/mma/async_copy.cuh"
#include "csrc/kernels/attention/cuda/mma/shared_memory.cuh"
#include "csrc/kernels/common/cuda/code_arch.h"

namespace stablekv::bench {
namespace {

constexpr int kWarps = 4;
constexpr int kTileBytes = 8192;
constexpr int kMostTiles = 6;

// How the work is shared: an item is a sequence and a kv head, or one of `splits` parts of it, and
// the work of a CTA. Each warp has a ring of `tiles` tiles.
struct Sharing {
  int splits;
  int tiles;
};

struct GatherArgs {
  PagedAttentionParams params;
  Sharing sharing;
  int block_bytes;  // of one head in one cache
  uint32_t* sink;   // never written, but the compiler does not know
};

__global__ void __launch_bounds__(32 * kWarps)
    GatherKernel(const __grid_constant__ GatherArgs args) {
  extern __shared__ __align__(128) uint8_t memory[];
  __shared__ uint64_t arrived[kWarps][kMostTiles];
  const PagedAttentionParams& params = args.params;
  const int tiles = args.sharing.tiles;
  const int warp = threadIdx.x / 32;
  const int lane = threadIdx.x % 32;
  if (lane < tiles) InitBarrier(SharedAddress(&arrived[warp][lane]));
  FenceBulkCopies();
  __syncwarp();

  const int64_t kv_head = blockIdx.x % params.num_kv_heads;
  const int64_t rest = blockIdx.x / params.num_kv_heads;
  const int64_t sequence = rest % params.num_seqs;
  const int split = static_cast<int>(rest / params.num_seqs);
  const int32_t* const table = params.block_tables + sequence * params.block_tables_stride;
  const int blocks =
      static_cast<int>((params.seq_lens[sequence] + params.block_size - 1) / params.block_size);
  const int per_tile = kTileBytes / args.block_bytes;  // blocks
  const int first = (split * kWarps + warp) * per_tile;
  const int stride = args.sharing.splits * kWarps * per_tile;
  const uint64_t policy = CachePolicy(/*read_once=*/true);
  const uint32_t ring = SharedAddress(memory) + warp * tiles * kTileBytes;

  // Tiles come as keys, values, keys, ..
  int sent = 0;
  const auto send = [&] {
    const int begin = first + sent / 2 * stride;
    if (begin >= blocks) return false;
    const int count = min(per_tile, blocks - begin);
    const uint32_t barrier = SharedAddress(&arrived[warp][sent % tiles]);
    if (lane == 0) ExpectBytes(barrier, count * args.block_bytes);
    __syncwarp();
    if (lane < count) {
      const bool values = sent % 2 == 1;
      const int64_t block = table[begin + lane];
      const int64_t offset =
          values
              ? block * params.value_cache_block_stride + kv_head * params.value_cache_head_stride
              : block * params.key_cache_block_stride + kv_head * params.key_cache_head_stride;
      const auto* const cache =
          static_cast<const uint8_t*>(values ? params.value_cache : params.key_cache);
      BulkCopy(ring + sent % tiles * kTileBytes + lane * args.block_bytes,
               cache + offset * SizeOf(params.cache, params.element), args.block_bytes, barrier,
               policy);
    }
    ++sent;
    return true;
  };
  bool more = true;
  for (int i = 0; i < tiles && more; ++i) more = send();
  uint32_t sum = 0;
  for (int used = 0; used < sent; ++used) {
    WaitForBytes(SharedAddress(&arrived[warp][used % tiles]), used / tiles % 2);
    sum += reinterpret_cast<const volatile uint32_t*>(
        memory)[((warp * tiles + used % tiles) * kTileBytes) / 4 + lane];
    __syncwarp();
    if (more) more = send();
  }
  if (sum == 0x12345678u) *args.sink = sum;
}

}  // namespace

double MicrosecondsOfGathering(int64_t copies,
                               const std::function<PagedAttentionParams(int64_t)>& params_of) {
  if (CodeArch() < 90) return NAN;
  const PagedAttentionParams params = params_of(0);
  const int block_bytes =
      static_cast<int>(params.head_size * params.block_size * SizeOf(params.cache, params.element));
  if (block_bytes > kTileBytes) return NAN;
  uint32_t* sink;
  Must(cudaMalloc(&sink, sizeof(*sink)), "cudaMalloc");
  Must(cudaFuncSetAttribute(GatherKernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                            kWarps * kMostTiles * kTileBytes),
       "shared memory of the gather");
  double best = INFINITY;
  for (const int splits : {1, 2, 4, 8, 16, 32}) {
    const int64_t ctas = params.num_seqs * params.num_kv_heads * splits;
    if (splits > 1 && ctas > 528) continue;  // four on each of 132 multiprocessors
    for (const int tiles : {2, 3, kMostTiles}) {
      best =
          std::min(best, MicrosecondsOf(copies, [&](int64_t copy, cudaStream_t stream) {
                     const GatherArgs args = {params_of(copy), {splits, tiles}, block_bytes, sink};
                     GatherKernel<<<static_cast<unsigned>(ctas), 32 * kWarps,
                                    kWarps * tiles * kTileBytes, stream>>>(args);
                     Must(cudaGetLastError(), "gather");
                   }));
    }
  }
  Must(cudaFree(sink), "cudaFree");
  return best;
}

}  // namespace stablekv::bench
