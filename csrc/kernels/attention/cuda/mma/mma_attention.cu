#include <cuda_runtime_api.h>

#include <atomic>
#include <cstdint>
#include <limits>
#include <mutex>
#include <string>
#include <utility>

#include "csrc/kernels/attention/cuda/mma/mma_args.h"
#include "csrc/kernels/attention/cuda/mma/mma_attention.h"
#include "csrc/kernels/attention/cuda/reduce.h"
#include "csrc/kernels/common/alignment.h"
#include "csrc/kernels/common/cuda/code_arch.h"
#include "csrc/kernels/common/cuda/number_format.cuh"
#include "csrc/kernels/common/divide.h"

namespace stablekv {
namespace {

// Whether every block of a head begins at a multiple of 16 bytes.
bool BlocksAreAligned(const void* cache, int64_t block_stride, int64_t head_stride, int64_t bytes) {
  return IsAligned(cache, {block_stride * bytes, head_stride * bytes}, 16);
}

// Whether every row of queries, of 16-bit elements, begins at a multiple of 8 bytes.
bool QueriesAreAligned(const PagedAttentionParams& params) {
  return IsAligned(params.query, {2 * params.query_seq_stride, 2 * params.query_head_stride}, 8);
}

bool InPairs(const PagedAttentionParams& params) {
  return params.cache != CacheType::kAuto && params.block_size == kPairedBlockTokens;
}

// Products that a tile of query heads is wide.
int ProductsOf(const PagedAttentionParams& params) {
  const bool wide = params.num_heads / params.num_kv_heads > kMmaHeads &&
                    HasWideTiles(params.head_size) && !InPairs(params);
  return wide ? 2 : 1;
}

// Tiles of query heads of a kv head.
int64_t TilesOf(const PagedAttentionParams& params) {
  return CeilDivide(params.num_heads / params.num_kv_heads, ProductsOf(params) * kMmaHeads);
}

int64_t KeyBytesOf(const PagedAttentionParams& params) {
  return params.head_size * SizeOf(params.cache, params.element);
}

// Tokens that a warp takes at a time.
int64_t StepTokensOf(const PagedAttentionParams& params) {
  return MmaStepTokens(KeyBytesOf(params));
}

// Warps of a CTA.
int WarpsOf(const PagedAttentionParams& params) {
  return MmaWarps(KeyBytesOf(params) * StepTokensOf(params));
}

// Tokens that give each warp of a CTA a step.
int64_t CtaTokensOf(const PagedAttentionParams& params) {
  return WarpsOf(params) * StepTokensOf(params);
}

// Bytes a microsecond, 0 if the driver does not say.
int64_t BandwidthOf(int device) {
  int kilohertz = 0;
  int bits = 0;
  if (cudaDeviceGetAttribute(&kilohertz, cudaDevAttrMemoryClockRate, device) != cudaSuccess ||
      cudaDeviceGetAttribute(&bits, cudaDevAttrGlobalMemoryBusWidth, device) != cudaSuccess) {
    (void)cudaGetLastError();
    return 0;
  }
  return int64_t{2} * kilohertz / 1000 * bits / 8;  // two transfers a clock
}

cudaError_t Ask(int id, MmaDevice* device) {
  const std::pair<int*, cudaDeviceAttr> asked[] = {
      {&device->processors, cudaDevAttrMultiProcessorCount},
      {&device->shared_bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin}};
  for (const auto& [value, attribute] : asked) {
    const cudaError_t error = cudaDeviceGetAttribute(value, attribute, id);
    if (error != cudaSuccess) return error;
  }
  device->bandwidth = BandwidthOf(id);
  device->code_arch = CodeArch();
  return cudaSuccess;
}

template <typename Format>
Status LaunchForFormat(const MmaDecodeArgs& args, CudaStream stream) {
  return ProductsOf(args.params) == 2 ? LaunchMmaDecode<Format, false, 2>(args, stream)
                                      : LaunchMmaDecode<Format, false, 1>(args, stream);
}

Status LaunchForCache(const MmaDecodeArgs& args, CudaStream stream) {
  const bool pairs = InPairs(args.params);
  switch (args.params.cache) {
    case CacheType::kFp8E4M3:
      return pairs ? LaunchMmaDecode<Fp8E4M3Format, true, 1>(args, stream)
                   : LaunchForFormat<Fp8E4M3Format>(args, stream);
    case CacheType::kFp8E5M2:
      return pairs ? LaunchMmaDecode<Fp8E5M2Format, true, 1>(args, stream)
                   : LaunchForFormat<Fp8E5M2Format>(args, stream);
    case CacheType::kAuto:
      break;
  }
  return args.params.element == ElementType::kFloat16
             ? LaunchForFormat<Float16Format>(args, stream)
             : LaunchForFormat<BFloat16Format>(args, stream);
}

}  // namespace

// Asked for once for each device: the clock of the memory is read over the bus.
Status MmaDevice::OfCurrent(MmaDevice* device) {
  constexpr int kRemembered = 64;
  static MmaDevice known[kRemembered];
  static std::atomic<bool> is_known[kRemembered];
  static std::mutex mutex;
  int id = 0;
  cudaError_t error = cudaGetDevice(&id);
  const bool has_place = error == cudaSuccess && id < kRemembered;
  if (has_place && is_known[id].load(std::memory_order_acquire)) {
    *device = known[id];
    return Status();
  }
  if (error == cudaSuccess) error = Ask(id, device);
  if (error != cudaSuccess) {
    (void)cudaGetLastError();
    return Status::Error(std::string("paged attention on CUDA: no current device: ") +
                         cudaGetErrorString(error));
  }
  const std::lock_guard<std::mutex> lock(mutex);
  if (has_place && !is_known[id].load(std::memory_order_relaxed)) {
    known[id] = *device;
    is_known[id].store(true, std::memory_order_release);
  }
  return Status();
}

bool MmaCovers(const PagedAttentionParams& params, const MmaDevice& device) {
  const int64_t bytes = SizeOf(params.cache, params.element);
  const int64_t most_ctas = params.num_seqs * params.num_kv_heads * TilesOf(params) *
                            CeilDivide(params.max_seq_len + 1, kPartitionSize) * kMostClusterSize;
  return device.code_arch >= 80 && params.element != ElementType::kFloat32 &&
         !params.block_sparse.active() && params.head_size * bytes % 16 == 0 &&
         QueriesAreAligned(params) &&
         BlocksAreAligned(params.key_cache, params.key_cache_block_stride,
                          params.key_cache_head_stride, bytes) &&
         BlocksAreAligned(params.value_cache, params.value_cache_block_stride,
                          params.value_cache_head_stride, bytes) &&
         most_ctas <= std::numeric_limits<int32_t>::max();
}

SplitPlan MmaPlanFor(const PagedAttentionParams& params, bool has_scratch,
                     const MmaDevice& device) {
  SplitWork work = {};
  work.num_seqs = params.num_seqs;
  work.items = params.num_seqs * params.num_kv_heads * TilesOf(params);
  work.max_seq_len = params.max_seq_len;
  work.bytes_per_token = 2 * KeyBytesOf(params);
  work.fp8 = params.cache != CacheType::kAuto;
  work.reads_once = TilesOf(params) == 1;
  work.has_scratch = has_scratch;
  work.cta_warps = WarpsOf(params);
  work.cta_tokens = CtaTokensOf(params);
  work.num_processors = device.processors;
  work.bandwidth = device.bandwidth;
  work.has_clusters = device.code_arch >= 90 && device.shared_bytes >= kSharedBytesOfClusters;
  return PlanSplits(work);
}

Status LaunchMmaAttention(const PagedAttentionParams& params, const PagedAttentionScratch* scratch,
                          const SplitPlan& plan, CudaStream stream) {
  MmaDecodeArgs args = {};
  args.params = params;
  if (scratch != nullptr) args.scratch = *scratch;
  args.plan = plan;
  if (plan.num_shares != 0) args.shares = ShareSize(plan.num_shares, plan.fills_shares);
  args.splits =
      LengthSplits(plan.num_splits, FewestSplitTokens(plan.cluster_size, CtaTokensOf(params)));
  args.split_tokens = args.splits.TokensOf(params.max_seq_len);
  args.group_size = static_cast<int>(params.num_heads / params.num_kv_heads);
  args.num_tiles = static_cast<int>(TilesOf(params));
  args.heads_per_tile = static_cast<int>(CeilDivide(args.group_size, args.num_tiles));
  args.block_shift = CeilLog2(params.block_size);
  const int64_t parts =
      plan.num_shares != 0 ? plan.num_shares + params.num_seqs : params.num_seqs * plan.num_splits;
  args.num_items = static_cast<unsigned>(parts * params.num_kv_heads * args.num_tiles);
  args.log_cluster_size = CeilLog2(plan.cluster_size);
  args.tiles = Divisor(static_cast<uint32_t>(args.num_tiles));
  args.kv_heads = Divisor(static_cast<uint32_t>(params.num_kv_heads));
  args.seqs = Divisor(static_cast<uint32_t>(params.num_seqs));
  STABLEKV_RETURN_IF_ERROR(LaunchForCache(args, stream));
  if (!HasReduction(plan)) return Status();
  return LaunchReduce({params, *scratch, /*partition_size=*/0, args.shares, args.splits,
                       /*singles_are_done=*/true},
                      stream);
}

}  // namespace stablekv
