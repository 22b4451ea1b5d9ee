// paged_attention_v1 and _v2 on CUDA: turns the parameters into work items and picks the kernel.
#include <algorithm>
#include <cstdint>
#include <string>

#include "csrc/kernels/attention/cuda/decode_args.h"
#include "csrc/kernels/attention/cuda/mma/mma_attention.h"
#include "csrc/kernels/attention/cuda/reduce.h"
#include "csrc/kernels/attention/paged_attention.h"
#include "csrc/kernels/common/alignment.h"
#include "csrc/kernels/common/cuda/number_format.cuh"
#include "csrc/kernels/common/divide.h"

namespace stablekv {
namespace {

// Rows of the output that leave the device idle unless their tokens are shared out.
constexpr int64_t kFewRows = 512;

// Scratch that v1 asks for, at most: to find more, an allocator may have to give up what it caches.
constexpr int64_t kMostScratchBytes = 256 << 20;

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
  if (IsBlockSize(params.block_size)) return Status();
  return Status::Error("paged attention on CUDA: no kernel for block_size " +
                       std::to_string(params.block_size));
}

// The kernel for all that MmaCovers() refuses. `args` comes with its partitions set; the rest
// follows from params.
Status LaunchGeneral(DecodeArgs args, CudaStream stream) {
  const PagedAttentionParams& params = args.params;
  args.block_shift = CeilLog2(params.block_size);
  SetTiles(params, &args);
  args.num_work_items =
      params.num_seqs * args.num_partitions * params.num_kv_heads * args.num_tiles;
  const int64_t bytes = SizeOf(params.cache, params.element);
  args.key_vectors =
      IsAligned(params.key_cache,
                {params.key_cache_block_stride * bytes, params.key_cache_head_stride * bytes}, 16);
  args.value_vectors =
      IsAligned(params.value_cache,
                {params.value_cache_block_stride * bytes, params.value_cache_head_stride * bytes},
                std::min<int64_t>(16, 8 * bytes));
  return LaunchForCache(args, stream);
}

Status LaunchPartitioned(const PagedAttentionParams& params, const PagedAttentionScratch& scratch,
                         CudaStream stream) {
  DecodeArgs args = {};
  args.params = params;
  args.scratch = scratch;
  args.partitioned = true;
  args.num_partitions = scratch.num_partitions;
  args.partition_size = kPartitionSize;
  if (args.num_partitions > 0) STABLEKV_RETURN_IF_ERROR(LaunchGeneral(args, stream));
  return LaunchReduce({params, scratch, kPartitionSize, ShareSize(), LengthSplits(),
                       /*singles_are_done=*/false},
                      stream);
}

// Scratch for v1, which rounds once: results of partitions are float32. False if there is no
// memory.
bool GetScratch(const PagedAttentionParams& params, int64_t partitions, const ScratchMemory& memory,
                PagedAttentionScratch* scratch) {
  const int64_t rows = params.num_seqs * params.num_heads * partitions;
  const int64_t size = rows * (params.head_size + 2) * static_cast<int64_t>(sizeof(float));
  void* const bytes = size <= kMostScratchBytes ? memory.Allocate(size) : nullptr;
  if (bytes == nullptr) return false;
  auto* const tmp_out = static_cast<float*>(bytes);
  float* const exp_sums = tmp_out + rows * params.head_size;
  *scratch = {exp_sums, exp_sums + rows, tmp_out, partitions, ElementType::kFloat32};
  return true;
}

}  // namespace

Status PagedAttentionV1Cuda(const PagedAttentionParams& params, const ScratchMemory& memory,
                            CudaStream stream) {
  if (params.num_seqs == 0 || params.num_heads == 0) return Status();
  STABLEKV_RETURN_IF_ERROR(CheckBlockSize(params));
  MmaDevice device;
  STABLEKV_RETURN_IF_ERROR(MmaDevice::OfCurrent(&device));
  PagedAttentionScratch scratch;
  if (MmaCovers(params, device)) {
    const SplitPlan plan = MmaPlanFor(params, /*has_scratch=*/true, device);
    if (!HasReduction(plan)) return LaunchMmaAttention(params, nullptr, plan, stream);
    if (GetScratch(params, RowsOf(plan, params.num_seqs), memory, &scratch)) {
      return LaunchMmaAttention(params, &scratch, plan, stream);
    }
    return LaunchMmaAttention(params, nullptr, MmaPlanFor(params, /*has_scratch=*/false, device),
                              stream);
  }
  const int64_t partitions = CeilDivide(params.max_seq_len, kPartitionSize);
  if (partitions > 1 && params.num_seqs * params.num_heads <= kFewRows &&
      GetScratch(params, partitions, memory, &scratch)) {
    return LaunchPartitioned(params, scratch, stream);
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
    return LaunchMmaAttention(params, &scratch, MmaPlanFor(params, /*has_scratch=*/true, device),
                              stream);
  }
  return LaunchPartitioned(params, scratch, stream);
}

}  // namespace stablekv
