#include "csrc/ops/cp_gather_and_upconvert_fp8_kv_cache.h"

#include "csrc/libtorch_stable/checked_mode.h"
#include "csrc/libtorch_stable/launch.h"
#include "csrc/libtorch_stable/ops.h"
#include "csrc/libtorch_stable/tensor_arg.h"

namespace stablekv {

namespace {

constexpr RowStartsArg kRowStarts{"workspace_starts", /*may_be_cut=*/false};

}  // namespace

void CpGatherAndUpconvertFp8KvCache(const Tensor& src_cache, const Tensor& dst,
                                    const Tensor& block_table, const Tensor& seq_lens,
                                    const Tensor& workspace_starts, int64_t batch_size) {
  const CpGatherAndUpconvertFp8KvCacheArgs args{
      InputArg("src_cache", src_cache),
      OutputArg("dst", dst),
      InputArg("block_table", block_table),
      InputArg("seq_lens", seq_lens),
      InputArg("workspace_starts", workspace_starts),
      batch_size,
  };
  GatherUpconvertParams params;
  ThrowIfError(PrepareCpGatherAndUpconvertFp8KvCache(args, &params));
  Launch(
      "cp_gather_and_upconvert_fp8_kv_cache", args.src_cache.device,
      [&](ParallelFor parallel_for) {
        return GatherUpconvertCpu(params, kRowStarts, parallel_for);
      },
      [&](auto stream) {
        STABLEKV_RETURN_IF_ERROR(CheckRowsInCheckedMode(params.rows, kRowStarts, stream));
        return GatherUpconvertCuda(params, stream);
      });
}

}  // namespace stablekv
