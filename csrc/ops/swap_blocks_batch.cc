#include "csrc/ops/swap_blocks_batch.h"

#include <cstdint>
#include <string>

#include "csrc/ops/check.h"
#include "csrc/ops/describe.h"

namespace stablekv {
namespace {

constexpr const char* kOp = "swap_blocks_batch";

Status CheckList(const TensorArg& list, int64_t num_copies) {
  STABLEKV_RETURN_IF_ERROR(CheckDType(kOp, list, DType::kInt64));
  if (list.device.type != DeviceType::kCpu) {
    return ArgumentError(kOp, list.name, "be on the CPU", NameOf(list.device));
  }
  STABLEKV_RETURN_IF_ERROR(CheckMemory(kOp, list, list));
  return CheckShape(kOp, list, {{"num_copies", num_copies}});
}

int64_t ValueOf(const TensorArg& list, int64_t i) {
  return static_cast<const int64_t*>(list.data)[i * list.stride(0)];
}

Status ValueError(const TensorArg& list, const std::string& wanted, int64_t i) {
  return ArgumentError(kOp, list.name, wanted,
                       std::to_string(ValueOf(list, i)) + " at [" + std::to_string(i) + "]");
}

Status CheckAddress(const TensorArg& list, int64_t i, int64_t bytes) {
  int64_t end;
  const int64_t address = ValueOf(list, i);
  if (address > 0 && !__builtin_add_overflow(address, bytes, &end)) return Status();
  return ValueError(list, "have the address of " + std::to_string(bytes) + " bytes", i);
}

}  // namespace

Status PrepareSwapBlocksBatch(const SwapBlocksBatchArgs& args, SwapBlocksBatchParams* params) {
  STABLEKV_RETURN_IF_ERROR(CheckList(args.src_ptrs, kAnySize));
  const int64_t num_copies = args.src_ptrs.size(0);
  STABLEKV_RETURN_IF_ERROR(CheckList(args.dst_ptrs, num_copies));
  STABLEKV_RETURN_IF_ERROR(CheckList(args.sizes, num_copies));

  params->src_access_order_any = args.is_src_access_order_any;
  params->copies.clear();
  params->copies.reserve(static_cast<size_t>(num_copies));
  for (int64_t i = 0; i < num_copies; ++i) {
    const int64_t bytes = ValueOf(args.sizes, i);
    if (bytes < 0) return ValueError(args.sizes, "be at least 0", i);
    if (bytes == 0) continue;
    STABLEKV_RETURN_IF_ERROR(CheckAddress(args.src_ptrs, i, bytes));
    STABLEKV_RETURN_IF_ERROR(CheckAddress(args.dst_ptrs, i, bytes));
    const int64_t from = ValueOf(args.src_ptrs, i);
    const int64_t to = ValueOf(args.dst_ptrs, i);
    if (from == to) continue;
    if ((from < to ? to - from : from - to) < bytes) {
      return ValueError(
          args.dst_ptrs,
          "be " + std::to_string(bytes) + " bytes or more from src_ptrs, " + std::to_string(from),
          i);
    }
    params->copies.push_back(
        {reinterpret_cast<const uint8_t*>(from), reinterpret_cast<uint8_t*>(to), bytes});
  }
  return Status();
}

}  // namespace stablekv
