#include "csrc/ops/gather_and_maybe_dequant_cache.h"

#include <vector>

#include "csrc/kernels/cache/gather_dequant_check_cpu.h"
#include "csrc/libtorch_stable/checked_mode.h"
#include "csrc/libtorch_stable/launch.h"
#include "csrc/libtorch_stable/ops.h"
#include "csrc/libtorch_stable/tensor_arg.h"

namespace stablekv {

namespace {

// Rows that a sequence has past num_tokens are nobody's mistake.
constexpr RowStartsArg kRowStarts{"cu_seq_lens", /*may_be_cut=*/true};

}  // namespace

void GatherAndMaybeDequantCache(const Tensor& src_cache, const Tensor& dst,
                                const Tensor& block_table, const Tensor& cu_seq_lens,
                                const Tensor& token_to_seq, int64_t num_tokens,
                                const StringArg& kv_cache_dtype, const Tensor& scale,
                                const std::optional<Tensor>& seq_starts) {
  const GatherAndMaybeDequantCacheArgs args{
      InputArg("src_cache", src_cache),
      OutputArg("dst", dst),
      InputArg("block_table", block_table),
      InputArg("cu_seq_lens", cu_seq_lens),
      InputArg("token_to_seq", token_to_seq),
      num_tokens,
      kv_cache_dtype,
      InputArg("scale", scale),
      OptionalInputArg("seq_starts", seq_starts),
  };
  GatherDequantParams params;
  ThrowIfError(PrepareGatherAndMaybeDequantCache(args, &params));
  if (params.rows.num_rows == 0) return;
  Launch(
      "gather_and_maybe_dequant_cache", args.src_cache.device,
      [&](ParallelFor parallel_for) { return GatherDequantCpu(params, kRowStarts, parallel_for); },
      [&](auto stream) {
        STABLEKV_RETURN_IF_ERROR(InCheckedMode(stream, [&](HostCopies& host) {
          GatherDequantParams copy = params;
          STABLEKV_RETURN_IF_ERROR(FetchRows(host, &copy.rows));
          STABLEKV_RETURN_IF_ERROR(host.Fetch(&copy.token_to_seq, copy.rows.num_rows));
          std::vector<PagedRun> runs;
          return CheckGatherDequantValues(copy, kRowStarts, &runs);
        }));
        return GatherDequantCuda(params, stream);
      });
}

}  // namespace stablekv
