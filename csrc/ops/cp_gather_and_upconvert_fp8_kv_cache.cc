#include "csrc/ops/cp_gather_and_upconvert_fp8_kv_cache.h"

#include "csrc/kernels/mla/ds_mla_layout.h"
#include "csrc/ops/check.h"
#include "csrc/ops/paged_rows.h"

namespace stablekv {
namespace {

constexpr const char* kOp = "cp_gather_and_upconvert_fp8_kv_cache";
constexpr int64_t kHeadDim = DsMlaLayout::kNopeElements + DsMlaLayout::kRopeElements;

Status CheckTokens(const CpGatherAndUpconvertFp8KvCacheArgs& args) {
  const TensorArg& src = args.src_cache;
  const TensorArg& dst = args.dst;
  STABLEKV_RETURN_IF_ERROR(CheckDTypeIn(kOp, src, {DType::kUInt8, DType::kFloat8E4M3}));
  STABLEKV_RETURN_IF_ERROR(CheckDType(kOp, dst, DType::kBFloat16));
  STABLEKV_RETURN_IF_ERROR(CheckCacheOfEntries(kOp, src));
  STABLEKV_RETURN_IF_ERROR(CheckShape(kOp, src,
                                      {{"num_blocks", kAnySize},
                                       {"block_size", kAnySize},
                                       {"token_bytes", DsMlaLayout::kTokenBytes}}));
  STABLEKV_RETURN_IF_ERROR(CheckContiguousFrom(kOp, src, 2));
  STABLEKV_RETURN_IF_ERROR(CheckShape(kOp, dst, {{"num_rows", kAnySize}, {"head_dim", kHeadDim}}));
  return CheckGatheredRows(kOp, dst, src);
}

Status CheckSeqLens(const CpGatherAndUpconvertFp8KvCacheArgs& args) {
  const TensorArg& seq_lens = args.seq_lens;
  STABLEKV_RETURN_IF_ERROR(CheckDType(kOp, seq_lens, DType::kInt32));
  STABLEKV_RETURN_IF_ERROR(CheckMemory(kOp, seq_lens, args.src_cache));
  STABLEKV_RETURN_IF_ERROR(CheckShape(kOp, seq_lens, {{"num_seqs", kAnySize}}));
  return CheckSizeAtLeast(kOp, seq_lens, 0, args.batch_size, "sequences (batch_size)");
}

}  // namespace

Status PrepareCpGatherAndUpconvertFp8KvCache(const CpGatherAndUpconvertFp8KvCacheArgs& args,
                                             GatherUpconvertParams* params) {
  const TensorArg& src = args.src_cache;
  const TensorArg& dst = args.dst;
  STABLEKV_RETURN_IF_ERROR(CheckTokens(args));
  if (args.batch_size < 0) return ArgumentError(kOp, "batch_size", "be >= 0", args.batch_size);
  STABLEKV_RETURN_IF_ERROR(CheckSeqLens(args));
  STABLEKV_RETURN_IF_ERROR(
      PrepareStartedRows(kOp, {src, args.block_table, args.workspace_starts, nullptr, dst.size(0)},
                         args.batch_size, &params->rows));
  STABLEKV_RETURN_IF_ERROR(
      CheckDisjoint(kOp, dst, {&args.block_table, &args.seq_lens, &args.workspace_starts}));
  params->from = src.data;
  params->to = dst.data;
  params->block_stride = src.stride(0);
  params->token_stride = src.stride(1);
  params->row_stride = dst.stride(0);
  return Status();
}

}  // namespace stablekv
