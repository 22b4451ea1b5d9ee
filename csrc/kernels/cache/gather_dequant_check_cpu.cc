#include "csrc/kernels/cache/gather_dequant_check_cpu.h"

#include <cstdint>
#include <string>

namespace stablekv {
namespace {

Status CheckTokenToSeq(const GatherDequantParams& params, const std::vector<PagedRun>& runs) {
  for (const PagedRun& run : runs) {
    for (int64_t row = run.first_row; row < run.first_row + run.count; ++row) {
      const int64_t seq = params.token_to_seq[row];
      if (seq >= 0 && seq < params.rows.num_seqs) continue;
      return Status::Error("token_to_seq must have sequences from 0 to " +
                           std::to_string(params.rows.num_seqs - 1) + ", got " +
                           std::to_string(seq) + " at [" + std::to_string(row) + "]");
    }
  }
  return Status();
}

}  // namespace

Status CheckGatherDequantValues(const GatherDequantParams& params, const RowStartsArg& starts,
                                std::vector<PagedRun>* runs) {
  STABLEKV_RETURN_IF_ERROR(ListPagedRuns(params.rows, starts, runs));
  return CheckTokenToSeq(params, *runs);
}

}  // namespace stablekv
