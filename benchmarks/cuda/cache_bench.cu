// Times reshape_and_cache and reshape_and_cache_flash next to a plain copy of as many bytes.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "benchmarks/cuda/bench_support.h"
#include "csrc/kernels/cache/reshape_and_cache.h"
#include "csrc/kernels/cache/reshape_and_cache_flash.h"
#include "csrc/kernels/cache/swap_blocks.h"

namespace stablekv::bench {
namespace {

constexpr int64_t kHeads = 8;
constexpr int64_t kHeadSize = 128;
constexpr int64_t kBlockSize = 16;

enum class Op { kPaged, kFlashNhd, kFlashHnd };

// Slots of the tokens: whole pages in random order, or all at random.
std::vector<int64_t> Slots(int64_t tokens, int64_t slots, bool pages) {
  std::vector<int64_t> result(tokens);
  uint64_t state = 3;
  const int64_t unit = pages ? kBlockSize : 1;
  std::vector<int64_t> order(slots / unit);
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(i);
  for (size_t i = order.size() - 1; i > 0; --i) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    std::swap(order[i], order[(state >> 33) % (i + 1)]);
  }
  for (int64_t i = 0; i < tokens; ++i) result[i] = order[i / unit] * unit + i % unit;
  return result;
}

void MustBeOk(const Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.message().c_str());
  std::exit(1);
}

void Bench(Op op, CacheType cache, int64_t tokens, bool pages, uint8_t* sources, uint8_t* caches,
           const float* scales) {
  const int64_t row = kHeads * kHeadSize;
  const int64_t bytes = SizeOf(cache, ElementType::kBFloat16);
  const int64_t slots = std::max<int64_t>(tokens, 1024) / kBlockSize * kBlockSize * 2;
  const int64_t source_bytes = 2 * tokens * row * 2;
  const int64_t cache_bytes = 2 * slots * row * bytes;
  const int64_t copies = CopiesFor(source_bytes + source_bytes * bytes / 2);
  const std::vector<int64_t> host = Slots(tokens, slots, pages);
  int64_t* slot_mapping;
  Must(cudaMalloc(&slot_mapping, 8 * tokens), "cudaMalloc");
  Must(cudaMemcpy(slot_mapping, host.data(), 8 * tokens, cudaMemcpyHostToDevice), "slots");
  const int64_t block = kBlockSize * row;
  const double time = MicrosecondsOf(copies, [&](int64_t copy, cudaStream_t stream) {
    uint8_t* const key = sources + copy * source_bytes;
    uint8_t* const key_cache = caches + copy * cache_bytes;
    if (op == Op::kPaged) {
      ReshapeAndCacheParams p = {};
      p.key = key;
      p.value = key + source_bytes / 2;
      p.key_cache = key_cache;
      p.value_cache = key_cache + cache_bytes / 2;
      p.slot_mapping = slot_mapping;
      p.k_scale = p.v_scale = scales;
      p.num_tokens = tokens;
      p.num_blocks = slots / kBlockSize;
      p.num_heads = kHeads;
      p.head_size = kHeadSize;
      p.block_size = kBlockSize;
      p.x = 16 / bytes;
      p.key_token_stride = p.value_token_stride = row;
      p.key_head_stride = p.value_head_stride = kHeadSize;
      p.key_cache_block_stride = p.value_cache_block_stride = block;
      p.key_cache_head_stride = p.value_cache_head_stride = kHeadSize * kBlockSize;
      p.element = ElementType::kBFloat16;
      p.cache = cache;
      MustBeOk(ReshapeAndCacheCuda(p, stream));
      return;
    }
    const bool nhd = op == Op::kFlashNhd;
    ReshapeAndCacheFlashParams p = {};
    p.key = {key,
             key_cache,
             scales,
             row,
             kHeadSize,
             block,
             nhd ? row : kHeadSize,
             nhd ? kHeadSize : kBlockSize * kHeadSize};
    p.value = p.key;
    p.value.source = key + source_bytes / 2;
    p.value.cache = key_cache + cache_bytes / 2;
    p.slot_mapping = slot_mapping;
    p.num_tokens = tokens;
    p.num_blocks = slots / kBlockSize;
    p.block_size = kBlockSize;
    p.num_heads = kHeads;
    p.head_size = kHeadSize;
    p.element = ElementType::kBFloat16;
    p.cache = cache;
    MustBeOk(ReshapeAndCacheFlashCuda(p, stream));
  });
  Must(cudaFree(slot_mapping), "cudaFree");
  const char* const names[] = {"reshape_and_cache", "flash NHD", "flash HND"};
  const double moved = static_cast<double>(source_bytes) * (1 + bytes / 2.0);
  std::printf("%-18s %s %5ld tokens %s  %7.2f us  %5.0f GB/s\n", names[static_cast<int>(op)],
              cache == CacheType::kAuto ? "bf16" : "fp8 ", static_cast<long>(tokens),
              pages ? "pages" : "slots", time, moved / time * 1e-3);
  std::fflush(stdout);
}

// 32 KiB blocks, in random places, to and from pinned memory.
void BenchSwap(int64_t count, bool to_device, uint8_t* device, uint8_t* host) {
  constexpr int64_t kBlockBytes = 32 << 10;
  std::vector<int64_t> mapping;
  for (const int64_t block : Slots(count, 2 * count, false)) {
    mapping.push_back(block);
    mapping.push_back(2 * count - 1 - block);
  }
  SwapBlocksParams p = {};
  p.src = to_device ? host : device;
  p.dst = to_device ? device : host;
  p.block_bytes = kBlockBytes;
  p.block_mapping = mapping.data();
  p.num_copies = count;
  p.mapping_row_stride = 2;
  p.mapping_column_stride = 1;
  p.src_on_cuda = !to_device;
  p.dst_on_cuda = to_device;
  const double time =
      MicrosecondsOf(8, [&](int64_t, cudaStream_t stream) { MustBeOk(SwapBlocksCuda(p, stream)); });
  std::printf("swap_blocks %s %3ld x 32 KiB  %7.2f us  %5.1f GB/s one way\n",
              to_device ? "h2d" : "d2h", static_cast<long>(count), time,
              static_cast<double>(count * kBlockBytes) / time * 1e-3);
  std::fflush(stdout);
}

}  // namespace
}  // namespace stablekv::bench

int main() {
  namespace b = stablekv::bench;
  uint8_t* sources;
  uint8_t* caches;
  const int64_t source_bytes = int64_t{2} << 30;
  const int64_t cache_bytes = int64_t{4} << 30;
  b::Must(cudaMalloc(&sources, source_bytes), "cudaMalloc");
  b::Must(cudaMalloc(&caches, cache_bytes), "cudaMalloc");
  b::FillRandom(sources, source_bytes, stablekv::ElementType::kBFloat16, stablekv::CacheType::kAuto,
                1);
  float* scales;
  const float scale[] = {0.37f, 0.37f};
  b::Must(cudaMalloc(&scales, sizeof(scale)), "cudaMalloc");
  b::Must(cudaMemcpy(scales, scale, sizeof(scale), cudaMemcpyHostToDevice), "scales");
  for (const b::Op op : {b::Op::kPaged, b::Op::kFlashNhd, b::Op::kFlashHnd}) {
    for (const stablekv::CacheType cache :
         {stablekv::CacheType::kAuto, stablekv::CacheType::kFp8E4M3}) {
      for (const int64_t tokens : {1, 256, 8192}) {
        for (const bool pages : {true, false}) {
          b::Bench(op, cache, tokens, pages, sources, caches, scales);
        }
      }
    }
  }
  uint8_t* host;
  b::Must(cudaMallocHost(&host, int64_t{64} << 20), "cudaMallocHost");
  for (const bool to_device : {true, false}) {
    for (const int64_t count : {64, 512}) b::BenchSwap(count, to_device, caches, host);
  }
  return 0;
}
