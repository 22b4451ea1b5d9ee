#include "csrc/ops/swap_blocks.h"

#include <string>

#include "csrc/ops/check.h"
#include "csrc/ops/describe.h"
#include "csrc/ops/memory.h"

namespace stablekv {
namespace {

constexpr const char* kOp = "swap_blocks";

Status CheckCache(const TensorArg& cache) {
  STABLEKV_RETURN_IF_ERROR(CheckBackend(kOp, cache));
  STABLEKV_RETURN_IF_ERROR(CheckMemory(kOp, cache, cache));
  return CheckNoGaps(kOp, cache);
}

Status CheckDevices(const TensorArg& src, const TensorArg& dst) {
  if (src.device.type != DeviceType::kCuda || dst.device.type != DeviceType::kCuda) return Status();
  if (src.device == dst.device) return Status();
  return ArgumentError(kOp, dst.name,
                       "be on the CPU or on " + NameOf(src.device) + " (the device of src)",
                       NameOf(dst.device));
}

Status CheckMapping(const TensorArg& mapping) {
  STABLEKV_RETURN_IF_ERROR(CheckDType(kOp, mapping, DType::kInt64));
  if (mapping.device.type != DeviceType::kCpu) {
    return ArgumentError(kOp, mapping.name, "be on the CPU", NameOf(mapping.device));
  }
  STABLEKV_RETURN_IF_ERROR(CheckMemory(kOp, mapping, mapping));
  return CheckShape(kOp, mapping, {{"num_copies", kAnySize}, {"2", 2}});
}

int64_t NumBlocks(const TensorArg& cache, int64_t block_bytes) {
  return NumElements(cache) * SizeOf(cache) / block_bytes;
}

Status CheckBlock(const SwapBlocksArgs& args, const TensorArg& cache, int64_t row, int64_t column,
                  int64_t block, int64_t num_blocks) {
  if (block >= 0 && block < num_blocks) return Status();
  const std::string wanted = "have blocks of " + std::string(cache.name) + " in column " +
                             std::to_string(column) + ", of which there are " +
                             std::to_string(num_blocks) + " of " +
                             std::to_string(args.block_size_in_bytes) + " bytes";
  return ArgumentError(
      kOp, args.block_mapping.name, wanted,
      std::to_string(block) + " at [" + std::to_string(row) + ", " + std::to_string(column) + "]");
}

// The bytes of a row's two blocks are apart, or the same. On two devices too: pinned memory of the
// CPU and its view on a CUDA device are one memory, at one address.
Status CheckApart(const SwapBlocksArgs& args, int64_t row, int64_t source, int64_t destination) {
  const auto bytes = static_cast<uint64_t>(args.block_size_in_bytes);
  const uint64_t from =
      reinterpret_cast<uintptr_t>(args.src.data) + static_cast<uint64_t>(source) * bytes;
  const uint64_t to =
      reinterpret_cast<uintptr_t>(args.dst.data) + static_cast<uint64_t>(destination) * bytes;
  if (from == to || (from < to ? to - from : from - to) >= bytes) return Status();
  return ArgumentError(kOp, args.block_mapping.name, "have pairs of blocks that do not overlap",
                       "source " + std::to_string(source) + " and destination " +
                           std::to_string(destination) + ", which share memory, at [" +
                           std::to_string(row) + "]");
}

Status CheckBlocks(const SwapBlocksArgs& args, const SwapBlocksParams& params) {
  const int64_t num_src = NumBlocks(args.src, params.block_bytes);
  const int64_t num_dst = NumBlocks(args.dst, params.block_bytes);
  for (int64_t i = 0; i < params.num_copies; ++i) {
    const int64_t* const row = params.block_mapping + i * params.mapping_row_stride;
    const int64_t source = row[0];
    const int64_t destination = row[params.mapping_column_stride];
    STABLEKV_RETURN_IF_ERROR(CheckBlock(args, args.src, i, 0, source, num_src));
    STABLEKV_RETURN_IF_ERROR(CheckBlock(args, args.dst, i, 1, destination, num_dst));
    STABLEKV_RETURN_IF_ERROR(CheckApart(args, i, source, destination));
  }
  return Status();
}

}  // namespace

Status PrepareSwapBlocks(const SwapBlocksArgs& args, SwapBlocksParams* params) {
  STABLEKV_RETURN_IF_ERROR(CheckCache(args.src));
  STABLEKV_RETURN_IF_ERROR(CheckCache(args.dst));
  STABLEKV_RETURN_IF_ERROR(CheckDevices(args.src, args.dst));
  STABLEKV_RETURN_IF_ERROR(CheckMapping(args.block_mapping));
  STABLEKV_RETURN_IF_ERROR(CheckDisjoint(kOp, args.dst, args.block_mapping));
  if (args.block_size_in_bytes < 1) {
    return ArgumentError(kOp, "block_size_in_bytes", "be at least 1", args.block_size_in_bytes);
  }

  params->src = args.src.data;
  params->dst = args.dst.data;
  params->block_bytes = args.block_size_in_bytes;
  params->block_mapping = static_cast<const int64_t*>(args.block_mapping.data);
  params->num_copies = args.block_mapping.size(0);
  params->mapping_row_stride = args.block_mapping.stride(0);
  params->mapping_column_stride = args.block_mapping.stride(1);
  params->src_on_cuda = args.src.device.type == DeviceType::kCuda;
  params->dst_on_cuda = args.dst.device.type == DeviceType::kCuda;
  return CheckBlocks(args, *params);
}

}  // namespace stablekv
