// Checked mode: operators on CUDA check what their index tensors hold, as those on the CPU do.
#ifndef STABLEKV_CSRC_LIBTORCH_STABLE_CHECKED_MODE_H_
#define STABLEKV_CSRC_LIBTORCH_STABLE_CHECKED_MODE_H_

#include <cstdint>
#include <vector>

#include "csrc/kernels/cache/paged_rows.h"
#include "csrc/kernels/cache/paged_runs_cpu.h"
#include "csrc/kernels/common/cuda_stream.h"
#include "csrc/kernels/common/host_copy.h"
#include "csrc/kernels/common/slot_mapping.h"
#include "csrc/kernels/common/status.h"

// All of it is templates and inline functions, which a build without CUDA never refers to.
namespace stablekv {

// Whether STABLEKV_CHECK_BOUNDS was 1 in the environment when the library was loaded.
extern const bool kCheckedMode;

// In checked mode, returns what `check(host)` does, which fetches index tensors by `host`, a
// HostCopies. Not while the stream is capturing: nothing has run that could be read.
template <typename Check>
Status InCheckedMode(CudaStream stream, const Check& check) {
  if (!kCheckedMode) return Status();
  bool capturing = false;
  STABLEKV_RETURN_IF_ERROR(IsCapturing(stream, &capturing));
  if (capturing) return Status();
  HostCopies host(stream);
  return check(host);
}

// In checked mode, checks the slots of an operator that has nothing else to check.
template <typename Params>
Status CheckSlotsInCheckedMode(const Params& params, CudaStream stream) {
  return InCheckedMode(stream, [&](HostCopies& host) {
    const int64_t* slots = params.slot_mapping;
    STABLEKV_RETURN_IF_ERROR(host.Fetch(&slots, params.num_tokens));
    return CheckSlots(slots, params.num_tokens, params.num_blocks, params.block_size);
  });
}

// Elements from the first to the last of a table whose rows are `stride` apart.
inline int64_t TableElements(int64_t num_rows, int64_t row_elements, int64_t stride) {
  return num_rows <= 0 || row_elements <= 0 ? 0 : (num_rows - 1) * stride + row_elements;
}

// Makes the tables of `rows` ones that the host can read.
inline Status FetchRows(HostCopies& host, PagedRows* rows) {
  STABLEKV_RETURN_IF_ERROR(host.Fetch(&rows->row_starts, rows->num_starts));
  STABLEKV_RETURN_IF_ERROR(host.Fetch(&rows->seq_starts, rows->num_seqs));
  return host.Fetch(&rows->block_table, TableElements(rows->num_seqs, rows->max_blocks_per_seq,
                                                      rows->block_table_stride));
}

// In checked mode, checks the rows of an operator that has nothing else to check.
inline Status CheckRowsInCheckedMode(const PagedRows& rows, const RowStartsArg& starts,
                                     CudaStream stream) {
  return InCheckedMode(stream, [&](HostCopies& host) {
    PagedRows copy = rows;
    STABLEKV_RETURN_IF_ERROR(FetchRows(host, &copy));
    std::vector<PagedRun> runs;
    return ListPagedRuns(copy, starts, &runs);
  });
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_LIBTORCH_STABLE_CHECKED_MODE_H_
