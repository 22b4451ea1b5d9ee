#include "csrc/ops/cp_gather_cache.h"

#include "csrc/libtorch_stable/checked_mode.h"
#include "csrc/libtorch_stable/launch.h"
#include "csrc/libtorch_stable/ops.h"
#include "csrc/libtorch_stable/tensor_arg.h"

namespace stablekv {

namespace {

constexpr RowStartsArg kRowStarts{"cu_seq_lens", /*may_be_cut=*/false};

}  // namespace

void CpGatherCache(const Tensor& src_cache, const Tensor& dst, const Tensor& block_table,
                   const Tensor& cu_seq_lens, int64_t batch_size,
                   const std::optional<Tensor>& seq_starts) {
  const CpGatherCacheArgs args{
      InputArg("src_cache", src_cache),
      OutputArg("dst", dst),
      InputArg("block_table", block_table),
      InputArg("cu_seq_lens", cu_seq_lens),
      batch_size,
      OptionalInputArg("seq_starts", seq_starts),
  };
  GatherRowsParams params;
  ThrowIfError(PrepareCpGatherCache(args, &params));
  Launch(
      "cp_gather_cache", args.src_cache.device,
      [&](ParallelFor parallel_for) { return GatherRowsCpu(params, kRowStarts, parallel_for); },
      [&](auto stream) {
        STABLEKV_RETURN_IF_ERROR(CheckRowsInCheckedMode(params.rows, kRowStarts, stream));
        return GatherRowsCuda(params, stream);
      });
}

}  // namespace stablekv
