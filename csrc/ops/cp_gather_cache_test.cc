// The checks of cp_gather_cache, and those that all gathers share.
#include "csrc/ops/cp_gather_cache.h"

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "csrc/ops/testing.h"

namespace stablekv {
namespace {

using testing::FakeTensor;

// A right call in float16, which tests change: 3 sequences of up to 5 blocks of 16 tokens.
struct Call {
  FakeTensor src_cache{"src_cache", DType::kFloat16, {7, 16, 24}};
  FakeTensor dst{"dst", DType::kFloat16, {40, 24}};
  FakeTensor block_table{"block_table", DType::kInt32, {3, 5}};
  FakeTensor cu_seq_lens{"cu_seq_lens", DType::kInt32, {4}};
  int64_t batch_size = 3;
  FakeTensor seq_starts{"seq_starts", DType::kInt32, {3}};
  bool has_seq_starts = true;

  Status Prepare(GatherRowsParams* params) const {
    std::optional<TensorArg> starts;
    if (has_seq_starts) starts = seq_starts.arg();
    return PrepareCpGatherCache(
        {src_cache.arg(), dst.arg(), block_table.arg(), cu_seq_lens.arg(), batch_size, starts},
        params);
  }
};

using Change = void (*)(Call&);

Status After(const Change change, GatherRowsParams* params) {
  Call call;
  change(call);
  return call.Prepare(params);
}

void Refused(const std::string& want, const Change change) {
  GatherRowsParams params;
  CHECK_MESSAGE(After(change, &params), "cp_gather_cache: " + want);
}

void TestParams() {
  Call call;
  call.src_cache.strides = {1000, 30, 1};
  call.dst.strides = {50, 1};
  call.block_table.strides = {9, 1};
  GatherRowsParams params;
  CHECK_MESSAGE(call.Prepare(&params), "");
  CHECK_THAT(params.rows.row_starts == call.cu_seq_lens.arg().data, "");
  CHECK_THAT(params.rows.seq_starts == call.seq_starts.arg().data, "");
  CHECK_THAT(params.rows.block_table == call.block_table.arg().data, "");
  CHECK_EQUAL(params.rows.num_rows, 40, "");
  CHECK_EQUAL(params.rows.num_seqs, 3, "");
  CHECK_EQUAL(params.rows.num_starts, 4, "");
  CHECK_EQUAL(params.rows.max_blocks_per_seq, 5, "");
  CHECK_EQUAL(params.rows.block_table_stride, 9, "");
  CHECK_EQUAL(params.rows.num_blocks, 7, "");
  CHECK_EQUAL(params.rows.block_size, 16, "");
  CHECK_EQUAL(params.num_pieces, 1, "");
  const GatherPiece& piece = params.pieces[0];
  CHECK_THAT(piece.from == call.src_cache.arg().data, "");
  CHECK_THAT(piece.to == call.dst.arg().data, "");
  CHECK_EQUAL(piece.block_stride, 2000, "");
  CHECK_EQUAL(piece.token_stride, 60, "");
  CHECK_EQUAL(piece.row_stride, 100, "");
  CHECK_EQUAL(piece.bytes, 48, "");
}

void TestAccepted() {
  GatherRowsParams params;
  const auto accepted = [&](const Change change) { CHECK_MESSAGE(After(change, &params), ""); };
  accepted([](Call& c) { c.has_seq_starts = false; });
  CHECK_THAT(params.rows.seq_starts == nullptr, "");
  accepted([](Call& c) {  // more than there are sequences
    c.block_table.Reshape({8, 5});
    c.seq_starts.Reshape({8});
  });
  CHECK_EQUAL(params.rows.num_seqs, 3, "");
  accepted([](Call& c) {  // other dimensions in cache and rows
    c.src_cache.Reshape({7, 16, 2, 3, 4});
    c.dst.Reshape({40, 4, 6});
  });
  CHECK_EQUAL(params.pieces[0].bytes, 48, "");
  accepted([](Call& c) {  // nothing to do
    c.dst.Reshape({0, 24});
    c.block_table.Reshape({0, 0});
    c.cu_seq_lens.Reshape({1});
    c.seq_starts.Reshape({0});
    c.batch_size = 0;
    c.dst.address = c.block_table.address = c.seq_starts.address = 0;
  });
  accepted([](Call& c) {  // no elements, of sizes whose product no 64 bits hold
    c.src_cache.Reshape({0, 16, int64_t{1} << 62, 4});
    c.dst.Reshape({0, 4, int64_t{1} << 62});
  });
  CHECK_EQUAL(params.pieces[0].bytes, std::numeric_limits<int64_t>::max(), "");
  accepted([](Call& c) {
    for (FakeTensor* tensor :
         {&c.src_cache, &c.dst, &c.block_table, &c.cu_seq_lens, &c.seq_starts}) {
      tensor->device = {DeviceType::kCuda, 1};
    }
  });
  for (const DType dtype :
       {DType::kFloat32, DType::kInt32, DType::kBFloat16, DType::kInt16, DType::kFloat8E4M3,
        DType::kUInt8, DType::kInt8, DType::kBool, DType::kUInt16, DType::kUInt32,
        DType::kFloat8E5M2Fnuz, DType::kComplex32}) {
    Call call;
    call.src_cache.dtype = call.dst.dtype = dtype;
    CHECK_MESSAGE(call.Prepare(&params), "");
    CHECK_EQUAL(params.pieces[0].bytes, 24 * SizeOf(dtype), "");
  }
  accepted([](Call& c) {
    for (FakeTensor* tensor : {&c.src_cache, &c.dst}) {
      tensor->dtype = DType::kOther;
      tensor->other_bytes = 2;
      tensor->other_number = 44;
    }
  });
  CHECK_EQUAL(params.pieces[0].bytes, 48, "");
}

void TestTokens() {
  Refused(
      "src_cache must have elements of 1, 2 or 4 bytes, got float64 (Unsupported data type "
      "width: 8)",
      [](Call& c) { c.src_cache.dtype = c.dst.dtype = DType::kFloat64; });
  Refused(
      "src_cache must have elements of 1, 2 or 4 bytes, got complex128 (Unsupported data type "
      "width: 16)",
      [](Call& c) { c.src_cache.dtype = c.dst.dtype = DType::kComplex128; });
  Refused("src_cache must be a tensor, got None", [](Call& c) {
    c.src_cache.dtype = DType::kNone;
    c.src_cache.device.type = DeviceType::kOther;
  });
  const std::string other = "a dtype that torch 2.10 has no stable name for";
  Refused("src_cache must have elements of 1, 2 or 4 bytes, got " + other +
              " (Unsupported data type width: 8)",
          [](Call& c) {
            c.src_cache.dtype = c.dst.dtype = DType::kOther;
            c.src_cache.other_bytes = c.dst.other_bytes = 8;
          });
  Refused("dst must be " + other + " (the dtype of src_cache), got another such", [](Call& c) {
    c.src_cache.dtype = c.dst.dtype = DType::kOther;
    c.dst.other_number = 1;
  });
  Refused("dst must be float16 (the dtype of src_cache), got bfloat16",
          [](Call& c) { c.dst.dtype = DType::kBFloat16; });
  Refused("src_cache must be on the CPU or on a CUDA device, got a device that no operator runs on",
          [](Call& c) { c.src_cache.device.type = DeviceType::kOther; });
  Refused("src_cache must have shape [num_blocks, block_size, ..], got [112, 24]",
          [](Call& c) { c.src_cache.Reshape({112, 24}); });
  Refused("src_cache must have a block size of at least 1, got 0",
          [](Call& c) { c.src_cache.Reshape({7, 0, 24}); });
  Refused(
      "src_cache must be contiguous from dimension 2 on, got strides [768, 48, 2] for shape "
      "[7, 16, 24]",
      [](Call& c) { c.src_cache.strides = {768, 48, 2}; });
  const std::string rows =
      "dst must have shape [num_rows, ..] with 24 elements a row (those of a "
      "token of src_cache), got ";
  Refused(rows + "[40, 23]", [](Call& c) { c.dst.Reshape({40, 23}); });
  Refused(rows + "[24]", [](Call& c) { c.dst.Reshape({24}); });
  Refused(  // 24 modulo 2^64
      "dst must have shape [num_rows, ..] with 24 elements a row (those of a token of src_cache), "
      "got [0, 4611686018427387910, 4]",
      [](Call& c) { c.dst.Reshape({0, (int64_t{1} << 62) + 6, 4}); });
  for (const std::vector<int64_t>& sizes : {std::vector<int64_t>{40}, {}}) {
    Call call;  // as many elements a row as a token has: one
    call.src_cache.Reshape({7, 16, 1});
    call.dst.Reshape(sizes);
    GatherRowsParams params;
    CHECK_MESSAGE(call.Prepare(&params),
                  "cp_gather_cache: dst must have shape [num_rows, ..] with 1 elements a row "
                  "(those of a token of src_cache), got " +
                      std::string(sizes.empty() ? "[]" : "[40]"));
  }
  Refused("dst must be on cpu (the device of src_cache), got cuda:0",
          [](Call& c) { c.dst.device.type = DeviceType::kCuda; });
  Refused("dst must be contiguous from dimension 1 on, got strides [48, 2] for shape [40, 24]",
          [](Call& c) { c.dst.strides = {48, 2}; });
  Refused(
      "dst must have memory of its own for every element, got strides [0, 1] for shape "
      "[40, 24]",
      [](Call& c) { c.dst.strides = {0, 1}; });
  Refused("dst must share no memory with src_cache, got overlapping address ranges",
          [](Call& c) { c.dst.address = c.src_cache.address + 48; });
  Refused("dst must share no memory with block_table, got overlapping address ranges",
          [](Call& c) { c.block_table.address = c.dst.address; });
  Refused("dst must share no memory with cu_seq_lens, got overlapping address ranges",
          [](Call& c) { c.cu_seq_lens.address = c.dst.address; });
  Refused("dst must share no memory with seq_starts, got overlapping address ranges",
          [](Call& c) { c.seq_starts.address = c.dst.address; });
}

void TestTables() {
  Refused("block_table must be int32, got int64",
          [](Call& c) { c.block_table.dtype = DType::kInt64; });
  Refused("block_table must be on cpu (the device of src_cache), got cuda:0",
          [](Call& c) { c.block_table.device.type = DeviceType::kCuda; });
  Refused("block_table must have shape [num_seqs, max_blocks_per_seq], got [15]",
          [](Call& c) { c.block_table.Reshape({15}); });
  Refused("block_table must have at least 3 sequences, got shape [2, 5]",
          [](Call& c) { c.block_table.Reshape({2, 5}); });
  Refused("block_table must be contiguous from dimension 1 on, got strides [1, 3] for shape [3, 5]",
          [](Call& c) { c.block_table.strides = {1, 3}; });
  Refused("cu_seq_lens must be int32, got int64",
          [](Call& c) { c.cu_seq_lens.dtype = DType::kInt64; });
  Refused("cu_seq_lens must be on cpu (the device of src_cache), got cuda:0",
          [](Call& c) { c.cu_seq_lens.device.type = DeviceType::kCuda; });
  Refused("cu_seq_lens must have shape [num_seqs + 1], got [4, 1]",
          [](Call& c) { c.cu_seq_lens.Reshape({4, 1}); });
  Refused("cu_seq_lens must have at least 1 elements, got shape [0]",
          [](Call& c) { c.cu_seq_lens.Reshape({0}); });
  Refused("cu_seq_lens must be contiguous, got strides [2] for shape [4]",
          [](Call& c) { c.cu_seq_lens.strides = {2}; });
  Refused("seq_starts must be int32, got uint8",
          [](Call& c) { c.seq_starts.dtype = DType::kUInt8; });
  Refused("seq_starts must be on cpu (the device of src_cache), got cuda:0",
          [](Call& c) { c.seq_starts.device.type = DeviceType::kCuda; });
  Refused("seq_starts must have shape [num_seqs], got [3, 1]",
          [](Call& c) { c.seq_starts.Reshape({3, 1}); });
  Refused("seq_starts must have at least 3 sequences, got shape [2]",
          [](Call& c) { c.seq_starts.Reshape({2}); });
  Refused("seq_starts must be contiguous, got strides [2] for shape [3]",
          [](Call& c) { c.seq_starts.strides = {2}; });
  for (const int64_t batch_size : {-1, 0, 2, 4}) {
    Call call;
    call.batch_size = batch_size;
    GatherRowsParams params;
    CHECK_MESSAGE(call.Prepare(&params),
                  "cp_gather_cache: batch_size must match cu_seq_lens, which has 3 + 1 elements, "
                  "got " +
                      std::to_string(batch_size));
  }
}

}  // namespace
}  // namespace stablekv

int main() {
  stablekv::TestParams();
  stablekv::TestAccepted();
  stablekv::TestTokens();
  stablekv::TestTables();
  return stablekv::testing::Finish();
}
