// The checks of cp_gather_and_upconvert_fp8_kv_cache, but for those of all gathers: see
// cp_gather_cache.
#include "csrc/ops/cp_gather_and_upconvert_fp8_kv_cache.h"

#include <string>

#include "csrc/ops/testing.h"

namespace stablekv {
namespace {

using testing::FakeTensor;

struct Call {
  FakeTensor src_cache{"src_cache", DType::kUInt8, {7, 64, 656}};
  FakeTensor dst{"dst", DType::kBFloat16, {40, 576}};
  FakeTensor block_table{"block_table", DType::kInt32, {3, 5}};
  FakeTensor seq_lens{"seq_lens", DType::kInt32, {3}};
  FakeTensor workspace_starts{"workspace_starts", DType::kInt32, {3}};
  int64_t batch_size = 3;

  Status Prepare(GatherUpconvertParams* params) const {
    return PrepareCpGatherAndUpconvertFp8KvCache(
        {src_cache.arg(), dst.arg(), block_table.arg(), seq_lens.arg(), workspace_starts.arg(),
         batch_size},
        params);
  }
};

using Change = void (*)(Call&);

void Refused(const std::string& want, const Change change) {
  Call call;
  change(call);
  GatherUpconvertParams params;
  CHECK_MESSAGE(call.Prepare(&params), "cp_gather_and_upconvert_fp8_kv_cache: " + want);
}

void TestParams() {
  Call call;
  call.src_cache.dtype = DType::kFloat8E4M3;
  call.src_cache.strides = {50000, 700, 1};
  call.dst.strides = {600, 1};
  call.batch_size = 2;  // of three
  GatherUpconvertParams params;
  CHECK_MESSAGE(call.Prepare(&params), "");
  CHECK_THAT(params.from == call.src_cache.arg().data, "");
  CHECK_THAT(params.to == call.dst.arg().data, "");
  CHECK_EQUAL(params.block_stride, 50000, "");
  CHECK_EQUAL(params.token_stride, 700, "");
  CHECK_EQUAL(params.row_stride, 600, "");
  CHECK_THAT(params.rows.row_starts == call.workspace_starts.arg().data, "");
  CHECK_THAT(params.rows.seq_starts == nullptr, "");
  CHECK_EQUAL(params.rows.num_rows, 40, "");
  CHECK_EQUAL(params.rows.num_seqs, 2, "");
  CHECK_EQUAL(params.rows.num_starts, 2, "");
}

void TestRefused() {
  for (const DType dtype : {DType::kFloat8E5M2, DType::kInt8}) {
    Call call;
    call.src_cache.dtype = dtype;
    GatherUpconvertParams params;
    CHECK_MESSAGE(call.Prepare(&params),
                  "cp_gather_and_upconvert_fp8_kv_cache: src_cache must be uint8 or float8_e4m3fn, "
                  "got " +
                      std::string(dtype == DType::kInt8 ? "int8" : "float8_e5m2"));
  }
  Refused("dst must be bfloat16, got float16", [](Call& c) { c.dst.dtype = DType::kFloat16; });
  Refused(
      "src_cache must have shape [num_blocks, block_size, token_bytes] = [any, any, 656], got "
      "[7, 64, 576]",
      [](Call& c) { c.src_cache.Reshape({7, 64, 576}); });
  Refused("dst must have shape [num_rows, head_dim] = [any, 576], got [40, 512]",
          [](Call& c) { c.dst.Reshape({40, 512}); });
  Refused(
      "src_cache must be contiguous from dimension 2 on, got strides [83968, 1312, 2] for "
      "shape [7, 64, 656]",
      [](Call& c) { c.src_cache.strides = {83968, 1312, 2}; });
  Refused("batch_size must be >= 0, got -1", [](Call& c) { c.batch_size = -1; });
  Refused("seq_lens must have at least 4 sequences (batch_size), got shape [3]",
          [](Call& c) { c.batch_size = 4; });
  Refused("seq_lens must be int32, got int64", [](Call& c) { c.seq_lens.dtype = DType::kInt64; });
  Refused("seq_lens must be on cpu (the device of src_cache), got cuda:0",
          [](Call& c) { c.seq_lens.device.type = DeviceType::kCuda; });
  Refused("seq_lens must have shape [num_seqs], got [3, 1]",
          [](Call& c) { c.seq_lens.Reshape({3, 1}); });
  Refused("workspace_starts must have at least 3 sequences, got shape [2]",
          [](Call& c) { c.workspace_starts.Reshape({2}); });
  Refused("dst must share no memory with src_cache, got overlapping address ranges",
          [](Call& c) { c.src_cache.address = c.dst.address; });
  Refused("dst must share no memory with block_table, got overlapping address ranges",
          [](Call& c) { c.block_table.address = c.dst.address; });
  Refused("dst must share no memory with seq_lens, got overlapping address ranges",
          [](Call& c) { c.seq_lens.address = c.dst.address; });
  Refused("dst must share no memory with workspace_starts, got overlapping address ranges",
          [](Call& c) { c.workspace_starts.address = c.dst.address; });
  Refused("workspace_starts must be int32, got int64",
          [](Call& c) { c.workspace_starts.dtype = DType::kInt64; });
  Refused("workspace_starts must be contiguous, got strides [2] for shape [3]",
          [](Call& c) { c.workspace_starts.strides = {2}; });
}

}  // namespace
}  // namespace stablekv

int main() {
  stablekv::TestParams();
  stablekv::TestRefused();
  return stablekv::testing::Finish();
}
