#include "csrc/ops/cp_gather_indexer_k_quant_cache.h"

#include "csrc/libtorch_stable/checked_mode.h"
#include "csrc/libtorch_stable/launch.h"
#include "csrc/libtorch_stable/ops.h"
#include "csrc/libtorch_stable/tensor_arg.h"

namespace stablekv {

namespace {

constexpr RowStartsArg kRowStarts{"cu_seq_lens", /*may_be_cut=*/false};

}  // namespace

void CpGatherIndexerKQuantCache(const Tensor& kv_cache, const Tensor& dst_k,
                                const Tensor& dst_scale, const Tensor& block_table,
                                const Tensor& cu_seq_lens) {
  const CpGatherIndexerKQuantCacheArgs args{
      InputArg("kv_cache", kv_cache),       OutputArg("dst_k", dst_k),
      OutputArg("dst_scale", dst_scale),    InputArg("block_table", block_table),
      InputArg("cu_seq_lens", cu_seq_lens),
  };
  GatherRowsParams params;
  ThrowIfError(PrepareCpGatherIndexerKQuantCache(args, &params));
  Launch(
      "cp_gather_indexer_k_quant_cache", args.kv_cache.device,
      [&](ParallelFor parallel_for) { return GatherRowsCpu(params, kRowStarts, parallel_for); },
      [&](auto stream) {
        STABLEKV_RETURN_IF_ERROR(CheckRowsInCheckedMode(params.rows, kRowStarts, stream));
        return GatherRowsCuda(params, stream);
      });
}

}  // namespace stablekv
