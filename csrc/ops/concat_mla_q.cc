#include "csrc/ops/concat_mla_q.h"

#include "csrc/ops/check.h"
#include "csrc/ops/describe.h"

namespace stablekv {
namespace {

constexpr const char* kOp = "concat_mla_q";
constexpr int64_t kNopeMultiple = 512;
constexpr int64_t kRopeDim = 64;

Status CheckPart(const TensorArg& tensor, const TensorArg& ql_nope, const Dim& last) {
  STABLEKV_RETURN_IF_ERROR(CheckSameDType(kOp, tensor, ql_nope));
  STABLEKV_RETURN_IF_ERROR(CheckMemory(kOp, tensor, ql_nope));
  STABLEKV_RETURN_IF_ERROR(CheckShape(
      kOp, tensor, {{"num_tokens", ql_nope.size(0)}, {"num_heads", ql_nope.size(1)}, last}));
  return CheckContiguousFrom(kOp, tensor, 2);
}

Status CheckNope(const TensorArg& ql_nope) {
  STABLEKV_RETURN_IF_ERROR(CheckDTypeIn(kOp, ql_nope, {DType::kFloat16, DType::kBFloat16}));
  STABLEKV_RETURN_IF_ERROR(CheckBackend(kOp, ql_nope));
  STABLEKV_RETURN_IF_ERROR(CheckMemory(kOp, ql_nope, ql_nope));
  STABLEKV_RETURN_IF_ERROR(CheckShape(
      kOp, ql_nope, {{"num_tokens", kAnySize}, {"num_heads", kAnySize}, {"nope_dim", kAnySize}}));
  if (ql_nope.size(2) < kNopeMultiple || ql_nope.size(2) % kNopeMultiple != 0) {
    return ArgumentError(kOp, ql_nope.name,
                         "have a nope_dim that is a multiple of 512 and at least 512",
                         "shape " + SizesOf(ql_nope));
  }
  return CheckContiguousFrom(kOp, ql_nope, 2);
}

}  // namespace

Status PrepareConcatMlaQ(const ConcatMlaQArgs& args, ConcatMlaQParams* params) {
  const TensorArg& ql_nope = args.ql_nope;
  const TensorArg& q_pe = args.q_pe;
  const TensorArg& q_out = args.q_out;
  STABLEKV_RETURN_IF_ERROR(CheckNope(ql_nope));
  STABLEKV_RETURN_IF_ERROR(CheckPart(q_pe, ql_nope, {"rope_dim", kRopeDim}));
  STABLEKV_RETURN_IF_ERROR(
      CheckPart(q_out, ql_nope, {"nope_dim + rope_dim", ql_nope.size(2) + kRopeDim}));
  STABLEKV_RETURN_IF_ERROR(CheckDistinctElements(kOp, q_out));
  STABLEKV_RETURN_IF_ERROR(CheckDisjoint(kOp, q_out, ql_nope));
  STABLEKV_RETURN_IF_ERROR(CheckDisjoint(kOp, q_out, q_pe));

  params->ql_nope = ql_nope.data;
  params->q_pe = q_pe.data;
  params->q_out = q_out.data;
  params->num_tokens = ql_nope.size(0);
  params->num_heads = ql_nope.size(1);
  params->nope_dim = ql_nope.size(2);
  params->rope_dim = kRopeDim;
  params->ql_nope_token_stride = ql_nope.stride(0);
  params->ql_nope_head_stride = ql_nope.stride(1);
  params->q_pe_token_stride = q_pe.stride(0);
  params->q_pe_head_stride = q_pe.stride(1);
  params->q_out_token_stride = q_out.stride(0);
  params->q_out_head_stride = q_out.stride(1);
  return Status();
}

}  // namespace stablekv
