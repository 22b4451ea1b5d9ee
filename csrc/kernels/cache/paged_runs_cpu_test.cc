// The CPU's list of runs against a loop over rows, and against what CUDA asks of each row.
#include "csrc/kernels/cache/paged_runs_cpu.h"

#include <cstdint>
#include <string>
#include <vector>

#include "csrc/kernels/common/testing.h"

namespace stablekv {
namespace {

constexpr RowStartsArg kStarts{"starts", /*may_be_cut=*/false};
constexpr RowStartsArg kCutStarts{"starts", /*may_be_cut=*/true};

// Sequences of 5, 0 and 7 rows, from tokens 2, 99 and 4 on, in blocks of 4 tokens of a cache of 9.
struct Call {
  std::vector<int32_t> row_starts = {0, 5, 5, 12};
  std::vector<int32_t> seq_starts = {2, 99, 4};
  std::vector<int32_t> block_table = {8, 0, -1, -1, -1, -1, -1, 7, 3};
  int64_t num_rows = 12;
  int64_t num_starts = 4;
  int64_t max_blocks_per_seq = 3;
  int64_t num_blocks = 9;
  int64_t block_size = 4;
  bool has_seq_starts = true;

  PagedRows rows() const {
    return {row_starts.data(),
            has_seq_starts ? seq_starts.data() : nullptr,
            block_table.data(),
            num_rows,
            static_cast<int64_t>(seq_starts.size()),
            num_starts,
            max_blocks_per_seq,
            /*block_table_stride=*/3,
            num_blocks,
            block_size};
  }
};

// Where each row comes from, by the runs; block -1: nowhere.
std::vector<PagedRun> RowsOf(const std::vector<PagedRun>& runs, int64_t num_rows) {
  std::vector<PagedRun> rows(static_cast<size_t>(num_rows), {0, 0, -1, 0});
  for (const PagedRun& run : runs) {
    for (int64_t i = 0; i < run.count; ++i) {
      PagedRun& row = rows[static_cast<size_t>(run.first_row + i)];
      CHECK_EQUAL(row.block, -1, "row " << run.first_row + i << " is in two runs");
      row = {run.first_row + i, 1, run.block, run.offset + i};
    }
  }
  return rows;
}

void CheckAgainstSourceOfRow(const PagedRows& rows, const std::vector<PagedRun>& runs) {
  const std::vector<PagedRun> listed = RowsOf(runs, rows.num_rows);
  for (int64_t row = 0; row < rows.num_rows; ++row) {
    const RowSource source = SourceOfRow(rows, row);
    const PagedRun& want = listed[static_cast<size_t>(row)];
    if (want.block < 0) {
      CHECK_THAT(source.fault == RowFault::kUncovered, "row " << row);
      continue;
    }
    CHECK_THAT(source.fault == RowFault::kNone, "row " << row);
    CHECK_EQUAL(source.block, want.block, "row " << row);
    CHECK_EQUAL(source.offset, want.offset, "row " << row);
  }
}

void TestByHand() {
  const Call call;
  std::vector<PagedRun> runs;
  CHECK_OK(ListPagedRuns(call.rows(), kStarts, &runs), "");
  const std::vector<PagedRun> want = {{0, 2, 8, 2}, {2, 3, 0, 0}, {5, 4, 7, 0}, {9, 3, 3, 0}};
  CHECK_EQUAL(runs.size(), want.size(), "");
  for (size_t i = 0; i < want.size() && i < runs.size(); ++i) {
    CHECK_EQUAL(runs[i].first_row, want[i].first_row, i);
    CHECK_EQUAL(runs[i].count, want[i].count, i);
    CHECK_EQUAL(runs[i].block, want[i].block, i);
    CHECK_EQUAL(runs[i].offset, want[i].offset, i);
  }
  CheckAgainstSourceOfRow(call.rows(), runs);
}

// All kinds of lengths and starts, sequences with an end and without one, rows before and after.
void TestAgainstSourceOfRow() {
  uint32_t seed = 1;
  const auto below = [&seed](uint32_t bound) {
    seed = seed * 1664525 + 1013904223;
    return static_cast<int32_t>((seed >> 8) % bound);
  };
  for (int round = 0; round < 500; ++round) {
    const int64_t num_seqs = below(7);
    Call call;
    call.block_size = 1 + below(6);
    call.num_blocks = 50;
    call.max_blocks_per_seq = 40;
    call.has_seq_starts = below(3) > 0;
    call.row_starts.assign(1, below(4));
    call.seq_starts.clear();
    for (int64_t seq = 0; seq < num_seqs; ++seq) {
      call.row_starts.push_back(call.row_starts.back() + below(3) * below(10));
      call.seq_starts.push_back(below(20));
    }
    const bool has_end = below(2) == 0;
    call.num_starts = num_seqs + (has_end ? 1 : 0);
    call.num_rows = call.row_starts.back() + (has_end ? below(5) : 0);
    call.block_table.clear();
    for (int64_t i = 0; i < num_seqs * 40; ++i) call.block_table.push_back(below(50));
    PagedRows rows = call.rows();
    rows.block_table_stride = 40;
    std::vector<PagedRun> runs;
    CHECK_OK(ListPagedRuns(rows, kStarts, &runs), "round " << round);
    CheckAgainstSourceOfRow(rows, runs);

    rows.num_rows = rows.num_rows / 2;  // the rest is left out where it may be
    if (has_end) {
      CHECK_OK(ListPagedRuns(rows, kCutStarts, &runs), "round " << round);
      CheckAgainstSourceOfRow(rows, runs);
    }
  }
}

template <typename Change>
void Refused(const std::string& want, const RowFault fault, int64_t row, const Change& change) {
  Call call;
  change(call);
  std::vector<PagedRun> runs;
  const Status status = ListPagedRuns(call.rows(), kStarts, &runs);
  CHECK_THAT(status.message() == want, "\n   got: " << status.message() << "\n  want: " << want);
  if (fault != RowFault::kNone) {
    CHECK_THAT(SourceOfRow(call.rows(), row).fault == fault, "row " << row << ": " << want);
  }
}

void TestRefused() {
  constexpr RowFault kNone = RowFault::kNone;
  Refused("starts must begin with a row >= 0, got -1 at [0]", kNone, 0,
          [](Call& c) { c.row_starts[0] = -1; });
  Refused("starts must not descend from 5 at [1], got 4 at [2]", kNone, 0,
          [](Call& c) { c.row_starts[2] = 4; });
  Refused("starts must have no row past the 11 of the destination, got 12 at [3]", kNone, 0,
          [](Call& c) { c.num_rows = 11; });
  Refused("seq_starts must be at least 0, got -6 at [2]", RowFault::kNegative, 5,
          [](Call& c) { c.seq_starts[2] = -6; });
  Refused(
      "block_table must have at least 3 blocks of 4 tokens a sequence, as sequence 2 has 7 rows "
      "from token 4 on, got 2",
      RowFault::kTableTooShort, 9, [](Call& c) { c.max_blocks_per_seq = 2; });
  Refused(
      "block_table must have at least 536870914 blocks of 4 tokens a sequence, as sequence 2 has "
      "7 rows from token 2147483647 on, got 3",
      RowFault::kTableTooShort, 11, [](Call& c) { c.seq_starts[2] = INT32_MAX; });
  for (const int32_t block : {-1, 9, INT32_MAX, INT32_MIN}) {
    Refused("block_table must have blocks from 0 to 8, as the cache has 9, got " +
                std::to_string(block) + " at [2, 1]",
            RowFault::kNoSuchBlock, 5, [block](Call& c) { c.block_table[7] = block; });
  }
}

// What nobody needs is not looked at.
void TestAccepted() {
  const auto accepted = [](auto change) {
    Call call;
    change(call);
    std::vector<PagedRun> runs;
    CHECK_OK(ListPagedRuns(call.rows(), kStarts, &runs), "");
    CheckAgainstSourceOfRow(call.rows(), runs);
  };
  accepted([](Call& c) { c.seq_starts[1] = -5; });  // of a sequence without rows
  accepted([](Call& c) { c.num_rows = 20; });
  accepted([](Call& c) {  // no rows at all, and no cache
    c.row_starts = {0, 0, 0, 0};
    c.num_blocks = 0;
  });
  accepted([](Call& c) {  // the last sequence ends with the rows
    c.num_starts = 3;
    c.num_rows = 13;
  });
}

}  // namespace
}  // namespace stablekv

int main() {
  stablekv::TestByHand();
  stablekv::TestAgainstSourceOfRow();
  stablekv::TestRefused();
  stablekv::TestAccepted();
  return stablekv::testing::Finish();
}
