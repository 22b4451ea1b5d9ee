// Checked mode without a GPU: the functions that reach for one are replaced by ones that count.
#include "csrc/libtorch_stable/checked_mode.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "csrc/kernels/attention/paged_attention_check_cpu.h"
#include "csrc/kernels/cache/gather_dequant_check_cpu.h"
#include "csrc/kernels/common/testing.h"
#include "csrc/kernels/mla/concat_and_cache_mla_rope_fused_check_cpu.h"

namespace stablekv {
namespace {

int copies = 0;
int64_t copied_bytes = 0;
bool stream_captures = false;
bool device_fails = false;

}  // namespace

Status IsCapturing(CudaStream, bool* capturing) {
  *capturing = stream_captures;
  return Status();
}

Status CopyToHost(const void* from, int64_t bytes, void* to, CudaStream) {
  if (device_fails) return Status::Error("the device is gone");
  memcpy(to, from, static_cast<size_t>(bytes));
  ++copies;
  copied_bytes += bytes;
  return Status();
}

namespace {

struct SlotParams {
  const int64_t* slot_mapping;
  int64_t num_tokens;
  int64_t num_blocks;
  int64_t block_size;
};

constexpr char kPastCache[] =
    "slot_mapping[2] is 32, want less than 32, as the cache has 4 blocks of 8 slots";

void TestSlots() {
  int64_t slots[] = {31, -1, 32};
  SlotParams params{slots, 3, 4, 8};
  copies = 0;
  CHECK_ERROR(CheckSlotsInCheckedMode(params, nullptr), kPastCache);
  CHECK_EQUAL(copies, 1, "of slot_mapping");
  CHECK_THAT(params.slot_mapping == slots, "the launch's own pointer must stay");
  slots[2] = 0;
  CHECK_THAT(CheckSlotsInCheckedMode(params, nullptr).ok(), "right slots");

  slots[2] = 32;
  stream_captures = true;
  copies = 0;
  CHECK_THAT(CheckSlotsInCheckedMode(params, nullptr).ok(), "a graph is being captured");
  CHECK_EQUAL(copies, 0, "while a graph is being captured");
  stream_captures = false;

  device_fails = true;
  CHECK_ERROR(CheckSlotsInCheckedMode(params, nullptr), "the device is gone");
  device_fails = false;

  params = {nullptr, 0, 4, 8};
  copies = 0;
  CHECK_THAT(CheckSlotsInCheckedMode(params, nullptr).ok(), "no tokens");
  CHECK_EQUAL(copies, 0, "of no tokens");
}

// Two sequences of 5 and 3 rows in blocks of 4 tokens; a table of 2 columns, rows 3 apart.
struct Rows {
  std::vector<int32_t> row_starts{0, 5, 8};
  std::vector<int32_t> seq_starts{0, 1};
  std::vector<int32_t> block_table{0, 1, 99, 2, 77};
  std::vector<int32_t> token_to_seq{0, 0, 0, 0, 0, 1, 1, 1};

  PagedRows rows() const {
    return {row_starts.data(), seq_starts.data(), block_table.data(), 8, 2, 3, 2, 3, 3, 4};
  }
};

void TestRows() {
  constexpr RowStartsArg kStarts{"cu_seq_lens", false};
  Rows good;
  copied_bytes = 0;
  CHECK_THAT(CheckRowsInCheckedMode(good.rows(), kStarts, nullptr).ok(), "right rows");
  CHECK_EQUAL(copied_bytes, (3 + 2 + 5) * 4, "starts, and a table up to its last element");

  Rows block = good;
  block.block_table[3] = 3;
  CHECK_ERROR(CheckRowsInCheckedMode(block.rows(), kStarts, nullptr),
              "block_table must have blocks from 0 to 2, as the cache has 3, got 3 at [1, 0]");
  Rows start = good;
  start.seq_starts[1] = -1;
  CHECK_ERROR(CheckRowsInCheckedMode(start.rows(), kStarts, nullptr),
              "seq_starts must be at least 0, got -1 at [1]");
  Rows descending = good;
  descending.row_starts[2] = 4;
  CHECK_ERROR(CheckRowsInCheckedMode(descending.rows(), kStarts, nullptr),
              "cu_seq_lens must not descend from 5 at [1], got 4 at [2]");
}

void TestTokenToSeq() {
  Rows rows;
  GatherDequantParams params{};  // without a cache, a destination or a scale: not to be looked at
  params.rows = rows.rows();
  params.token_to_seq = rows.token_to_seq.data();
  std::vector<PagedRun> runs;
  CHECK_THAT(CheckGatherDequantValues(params, {"cu_seq_lens", true}, &runs).ok(), "right tokens");
  CHECK_EQUAL(runs.size(), size_t{3}, "blocks 0, 1 and 2");
  rows.token_to_seq[6] = 2;
  CHECK_ERROR(CheckGatherDequantValues(params, {"cu_seq_lens", true}, &runs),
              "token_to_seq must have sequences from 0 to 1, got 2 at [6]");
}

void TestPositions() {
  const int64_t slots[] = {0, -1, 1};
  int64_t positions[] = {9, 1000, 0};         // that of padding is nobody's mistake
  ConcatAndCacheMlaRopeFusedParams params{};  // without anything else to read
  params.slot_mapping = slots;
  params.positions = positions;
  params.num_tokens = 3;
  params.num_positions = 10;
  params.num_blocks = 1;
  params.block_size = 2;
  CHECK_THAT(CheckConcatAndCacheMlaRopeFusedValues(params).ok(), "right positions");
  positions[2] = 10;
  CHECK_ERROR(CheckConcatAndCacheMlaRopeFusedValues(params),
              "positions[2] is 10, want 0 to less than 10, the rows of cos_sin_cache");
  params.num_blocks = 0;
  CHECK_ERROR(CheckConcatAndCacheMlaRopeFusedValues(params), "slot_mapping[0] is 0, want less");
}

// Of an fp8 cache whose scales are where the host cannot read.
void TestPagedAttention() {
  const int32_t seq_lens[] = {17, 0};
  int32_t tables[] = {0, 1, 99, 99};
  PagedAttentionParams params{};
  params.k_scale = reinterpret_cast<const float*>(uintptr_t{16});
  params.v_scale = params.k_scale;
  params.seq_lens = seq_lens;
  params.block_tables = tables;
  params.num_seqs = 2;
  params.num_heads = 2;
  params.num_kv_heads = 1;
  params.head_size = 64;
  params.block_size = 16;
  params.num_blocks = 2;
  params.max_blocks_per_seq = 2;
  params.block_tables_stride = 2;
  params.max_seq_len = 32;
  params.element = ElementType::kFloat16;
  params.cache = CacheType::kFp8E4M3;
  CHECK_THAT(CheckPagedAttention(params).ok(), "right tables");
  tables[1] = 2;
  CHECK_ERROR(CheckPagedAttention(params),
              "block_tables[0, 1] is 2, want 0 to 1, as the cache has 2 blocks");
}

int CheckOn() {
  CHECK_THAT(kCheckedMode, "STABLEKV_CHECK_BOUNDS is 1");
  TestSlots();
  TestRows();
  TestTokenToSeq();
  TestPositions();
  TestPagedAttention();
  return testing::Finish();
}

int CheckOff() {
  const int64_t slots[] = {31, -1, 32};
  copies = 0;
  CHECK_THAT(!kCheckedMode, "STABLEKV_CHECK_BOUNDS is not 1");
  CHECK_THAT(CheckSlotsInCheckedMode(SlotParams{slots, 3, 4, 8}, nullptr).ok(), "no checked mode");
  CHECK_EQUAL(copies, 0, "without checked mode");
  return testing::Finish();
}

// The variable is read when a process starts, so each of its values has a process of its own.
int Run(const std::string& program, const char* value, const char* part) {
  if (value == nullptr) {
    unsetenv("STABLEKV_CHECK_BOUNDS");
  } else {
    setenv("STABLEKV_CHECK_BOUNDS", value, 1);
  }
  const int status = std::system(("'" + program + "' " + part).c_str());
  CHECK_EQUAL(status, 0, part << ", with " << (value == nullptr ? "nothing" : value));
  return status;
}

}  // namespace
}  // namespace stablekv

int main(int argc, char** argv) {
  if (argc > 1) return argv[1] == std::string("on") ? stablekv::CheckOn() : stablekv::CheckOff();
  stablekv::Run(argv[0], "1", "on");
  for (const char* value : {"", "0", "11", "true"}) stablekv::Run(argv[0], value, "off");
  stablekv::Run(argv[0], nullptr, "off");
  return stablekv::testing::Finish();
}
