#include "csrc/ops/cp_gather_cache.h"

#include <string>

#include "csrc/ops/check.h"
#include "csrc/ops/describe.h"
#include "csrc/ops/memory.h"
#include "csrc/ops/paged_rows.h"

namespace stablekv {
namespace {

constexpr const char* kOp = "cp_gather_cache";

// Elements of a token: the product of the sizes of dimensions [first, dim), which a tensor without
// elements may have of any size.
int64_t EntrySize(const TensorArg& tensor, int64_t first) {
  int64_t size = 1;
  for (int64_t i = first; i < tensor.dim; ++i) size = SaturatingMultiply(size, tensor.size(i));
  return size;
}

Status CheckWidth(const TensorArg& tensor) {
  const int64_t width = SizeOf(tensor);
  if (width == 1 || width == 2 || width == 4) return Status();
  return ArgumentError(
      kOp, tensor.name, "have elements of 1, 2 or 4 bytes",
      NameOf(tensor.dtype) + (" (Unsupported data type width: " + std::to_string(width) + ")"));
}

Status CheckTokens(const CpGatherCacheArgs& args) {
  const TensorArg& src = args.src_cache;
  const TensorArg& dst = args.dst;
  STABLEKV_RETURN_IF_ERROR(CheckCacheOfEntries(kOp, src));
  STABLEKV_RETURN_IF_ERROR(CheckWidth(src));
  STABLEKV_RETURN_IF_ERROR(CheckSameDType(kOp, dst, src));
  STABLEKV_RETURN_IF_ERROR(CheckContiguousFrom(kOp, src, 2));
  if (dst.dim < 2 || EntrySize(dst, 1) != EntrySize(src, 2)) {
    return ArgumentError(kOp, dst.name,
                         "have shape [num_rows, ..] with " + std::to_string(EntrySize(src, 2)) +
                             " elements a row (those of a token of src_cache)",
                         SizesOf(dst));
  }
  return CheckGatheredRows(kOp, dst, src);
}

Status CheckBatchSize(const CpGatherCacheArgs& args) {
  const TensorArg& starts = args.cu_seq_lens;
  if (starts.dim != 1 || starts.size(0) < 1) return Status();  // and is refused for it
  if (args.batch_size == starts.size(0) - 1) return Status();
  return ArgumentError(
      kOp, "batch_size",
      "match cu_seq_lens, which has " + std::to_string(starts.size(0) - 1) + " + 1 elements",
      args.batch_size);
}

}  // namespace

Status PrepareCpGatherCache(const CpGatherCacheArgs& args, GatherRowsParams* params) {
  const TensorArg& src = args.src_cache;
  const TensorArg& dst = args.dst;
  STABLEKV_RETURN_IF_ERROR(CheckTokens(args));
  STABLEKV_RETURN_IF_ERROR(CheckBatchSize(args));
  const TensorArg* const seq_starts = args.seq_starts ? &*args.seq_starts : nullptr;
  *params = {};
  STABLEKV_RETURN_IF_ERROR(PrepareCumulativeRows(
      kOp, {src, args.block_table, args.cu_seq_lens, seq_starts, dst.size(0)}, &params->rows));
  STABLEKV_RETURN_IF_ERROR(
      CheckDisjoint(kOp, dst, {&args.block_table, &args.cu_seq_lens, seq_starts}));
  const auto bytes = [&](int64_t elements) { return SaturatingMultiply(elements, SizeOf(src)); };
  params->num_pieces = 1;
  params->pieces[0] = {src.data,
                       dst.data,
                       bytes(src.stride(0)),
                       bytes(src.stride(1)),
                       bytes(dst.stride(0)),
                       bytes(EntrySize(src, 2))};
  return Status();
}

}  // namespace stablekv
