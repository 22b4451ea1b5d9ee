// paged_attention_v1 and _v2 on CUDA: turns the parameters into work items and picks the kernel.
#include <algorithm>
#include <cstdint>
#include <string>

#include "csrc/kernels/attention/cuda/decode_args.h"
#include "csrc/kernels/attention/cuda/mma/mma_attention.h"
#include "csrc/kernels/attention/cuda/reduce.h"
#include "csrc/kernels/attention/paged_attention.h"
#include "csrc/kernels/common/cuda/number_format.cuh"

namespace stablekv {
namespace {

constexpr int64_t CeilDivide(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Whether loads of `bytes` bytes are aligned wherever they fall in a cache.
bool LoadsAreAligned(const void* cache, int64_t block_stride, int64_t head_stride,
                     int64_t element_bytes, int64_t bytes) {
  return reinterpret_cast<uintptr_t>(cache) % bytes == 0 &&
         block_stride * element_bytes % bytes == 0 && head_stride * element_bytes % bytes == 0;
}

// Splits the query heads of a kv head into tiles of nearly equal size.
void SetTiles(const PagedAttentionParams& params, DecodeArgs* args) {
  args->group_size = static_cast<int>(params.num_heads / params.num_kv_heads);
  // A pattern that slides from query head to query head attends to other tokens in each.
  const bool per_head = params.block_sparse.active() && params.block_sparse.head_sliding_step > 0;
  const int64_t largest = per_head ? 1 : MaxHeadsPerTile(params.head_size);
  args->num_tiles = static_cast<int>(CeilDivide(args->group_size, largest));
  args->heads_per_tile = static_cast<int>(CeilDivide(args->group_size, args->num_tiles));
}

Status LaunchForCache(const DecodeArgs& args, CudaStream stream) {
  switch (args.params.cache) {
    case CacheType::kFp8E4M3:
      return LaunchDecode<Fp8E4M3Format>(args, stream);
    case CacheType::kFp8E5M2:
      return LaunchDecode<Fp8E5M2Format>(args, stream);
    case CacheType::kAuto:
      break;
  }
  switch (args.params.element) {
    case ElementType::kFloat32:
      return LaunchDecode<Float32Format>(args, stream);
    case ElementType::kFloat16:
      return LaunchDecode<Float16Format>(args, stream);
    case ElementType::kBFloat16:
      return LaunchDecode<BFloat16Format>(args, stream);
  }
  return Status::Error("paged attention on CUDA: unknown element or cache type");
}

Status CheckBlockSize(const PagedAttentionParams& params) {
  if (std::find(std::begin(kBlockSizes), std::end(kBlockSizes), params.block_size) !=
      std::end(kBlockSizes)) {
    return Status();
  }
  return Status::Error("paged attention on CUDA: no kernel for block_size " +
                       std::to_string(params.block_size));
}

// The kernel for all that MmaCovers() refuses. `args` comes with its partitions set; the rest
// follows from params.
Status LaunchGeneral(DecodeArgs args, CudaStream stream) {
  const PagedAttentionParams& params = args.params;
  while ((int64_t{1} << args.block_shift) < params.block_size) ++args.block_shift;
  SetTiles(params, &args);
  args.num_work_items =
      params.num_seqs * args.num_partitions * params.num_kv_heads * args.num_tiles;
  const int64_t bytes = SizeOf(params.cache, params.element);
  args.key_vectors = LoadsAreAligned(params.key_cache, params.key_cache_block_stride,
                                     params.key_cache_head_stride, bytes, /*bytes=*/16);
  args.value_vectors =
      LoadsAreAligned(params.value_cache, params.value_cache_block_stride,
                      params.value_cache_head_stride, bytes, std::min<int64_t>(16, 8 * bytes));
  return LaunchForCache(args, stream);
}

}  // namespace

Status PagedAttentionV1Cuda(const PagedAttentionParams& params, CudaStream stream) {
  if (params.num_seqs == 0 || params.num_heads == 0) return Status();
  STABLEKV_RETURN_IF_ERROR(CheckBlockSize(params));
  MmaDevice device;
  STABLEKV_RETURN_IF_ERROR(MmaDevice::OfCurrent(&device));
  if (MmaCovers(params, device)) {
    return LaunchMmaAttention(params, nullptr, MmaPlanFor(params, nullptr, device), stream);
  }
  DecodeArgs args = {};
  args.params = params;
  args.num_partitions = 1;
  args.partition_size = params.max_seq_len;
  return LaunchGeneral(args, stream);
}

Status PagedAttentionV2Cuda(const PagedAttentionParams& params,
                            const PagedAttentionScratch& scratch, CudaStream stream) {
  if (params.num_seqs == 0 || params.num_heads == 0) return Status();
  STABLEKV_RETURN_IF_ERROR(CheckBlockSize(params));
  MmaDevice device;
  STABLEKV_RETURN_IF_ERROR(MmaDevice::OfCurrent(&device));
  if (MmaCovers(params, device)) {
    return LaunchMmaAttention(params, &scratch, MmaPlanFor(params, &scratch, device), stream);
  }
  DecodeArgs args = {};
  args.params = params;
  args.scratch = scratch;
  args.partitioned = true;
  args.num_partitions = CeilDivide(params.max_seq_len, kPartitionSize);
  args.partition_size = kPartitionSize;
  if (args.num_partitions > 0) STABLEKV_RETURN_IF_ERROR(LaunchGeneral(args, stream));
  return LaunchReduce(
      {params, scratch, args.num_partitions, kPartitionSize, /*singles_are_done=*/false}, stream);
}

}  // namespace stablekv
