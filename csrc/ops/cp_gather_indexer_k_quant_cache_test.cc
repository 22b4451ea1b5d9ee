// The checks of cp_gather_indexer_k_quant_cache, but for those of all gathers: see
// cp_gather_cache.
#include "csrc/ops/cp_gather_indexer_k_quant_cache.h"

#include <cstdint>
#include <string>

#include "csrc/ops/testing.h"

namespace stablekv {
namespace {

using testing::FakeTensor;

// Two scales, for 128 elements each.
struct Call {
  FakeTensor kv_cache{"kv_cache", DType::kUInt8, {7, 64, 264}};
  FakeTensor dst_k{"dst_k", DType::kFloat8E4M3, {40, 256}};
  FakeTensor dst_scale{"dst_scale", DType::kUInt8, {40, 8}};
  FakeTensor block_table{"block_table", DType::kInt32, {3, 5}};
  FakeTensor cu_seq_lens{"cu_seq_lens", DType::kInt32, {4}};

  Status Prepare(GatherRowsParams* params) const {
    return PrepareCpGatherIndexerKQuantCache(
        {kv_cache.arg(), dst_k.arg(), dst_scale.arg(), block_table.arg(), cu_seq_lens.arg()},
        params);
  }
};

using Change = void (*)(Call&);

void Refused(const std::string& want, const Change change) {
  Call call;
  change(call);
  GatherRowsParams params;
  CHECK_MESSAGE(call.Prepare(&params), "cp_gather_indexer_k_quant_cache: " + want);
}

void TestParams() {
  Call call;
  call.kv_cache.strides = {20000, 264, 1};
  call.dst_k.strides = {300, 1};
  call.dst_scale.strides = {16, 1};
  GatherRowsParams params;
  CHECK_MESSAGE(call.Prepare(&params), "");
  CHECK_EQUAL(params.rows.num_rows, 40, "");
  CHECK_EQUAL(params.rows.num_seqs, 3, "");
  CHECK_EQUAL(params.rows.num_starts, 4, "");
  CHECK_EQUAL(params.num_pieces, 2, "");
  const auto* const cache = static_cast<const uint8_t*>(call.kv_cache.arg().data);
  CHECK_THAT(params.pieces[0].from == cache, "");
  CHECK_THAT(params.pieces[0].to == call.dst_k.arg().data, "");
  CHECK_EQUAL(params.pieces[0].block_stride, 20000, "");
  CHECK_EQUAL(params.pieces[0].token_stride, 256, "");
  CHECK_EQUAL(params.pieces[0].row_stride, 300, "");
  CHECK_EQUAL(params.pieces[0].bytes, 256, "");
  CHECK_THAT(params.pieces[1].from == cache + 64 * 256, "");
  CHECK_THAT(params.pieces[1].to == call.dst_scale.arg().data, "");
  CHECK_EQUAL(params.pieces[1].block_stride, 20000, "");
  CHECK_EQUAL(params.pieces[1].token_stride, 8, "");
  CHECK_EQUAL(params.pieces[1].row_stride, 16, "");
  CHECK_EQUAL(params.pieces[1].bytes, 8, "");
}

void TestNoBlocks() {
  Call call;
  call.kv_cache.Reshape({0, 64, 264});
  GatherRowsParams params;
  CHECK_MESSAGE(call.Prepare(&params), "");
  CHECK_THAT(params.pieces[1].from == nullptr, "scales, where there is no memory");
}

void TestRefused() {
  Refused("kv_cache must be uint8 or float8_e4m3fn, got float8_e5m2",
          [](Call& c) { c.kv_cache.dtype = DType::kFloat8E5M2; });
  Refused("dst_k must be uint8 or float8_e4m3fn, got int8",
          [](Call& c) { c.dst_k.dtype = DType::kInt8; });
  Refused("dst_scale must be uint8, got float32",
          [](Call& c) { c.dst_scale.dtype = DType::kFloat32; });
  Refused("dst_k must have shape [num_rows, head_dim], got [40, 2, 128]",
          [](Call& c) { c.dst_k.Reshape({40, 2, 128}); });
  Refused("dst_scale must have shape [num_rows, 4 * num_scales] = [40, any], got [41, 8]",
          [](Call& c) { c.dst_scale.Reshape({41, 8}); });
  const std::string groups =
      "dst_scale must have 4 bytes for every quant_block_size elements of dst_k (head_dim must be "
      "divisible by quant_block_size; head_dim is 256), got shape ";
  Refused(groups + "[40, 2]", [](Call& c) { c.dst_scale.Reshape({40, 2}); });
  Refused(groups + "[40, 0]", [](Call& c) { c.dst_scale.Reshape({40, 0}); });
  Refused(groups + "[40, 12]", [](Call& c) { c.dst_scale.Reshape({40, 12}); });
  Refused(
      "kv_cache must have shape [num_blocks, block_size, head_dim + 4 * num_scales] = "
      "[any, any, 264], got [7, 64, 260]",
      [](Call& c) { c.kv_cache.Reshape({7, 64, 260}); });
  Refused(
      "kv_cache must have shape [num_blocks, block_size, head_dim + 4 * num_scales] = "
      "[any, any, 9223372036854775807], got [7, 64, 264]",
      [](Call& c) {
        c.dst_k.Reshape({0, int64_t{1} << 62});
        c.dst_scale.Reshape({0, int64_t{1} << 62});
      });
  Refused(
      "kv_cache must be contiguous from dimension 1 on, got strides [17920, 280, 1] for shape "
      "[7, 64, 264]",
      [](Call& c) { c.kv_cache.strides = {17920, 280, 1}; });
  Refused("dst_scale must be on cpu (the device of kv_cache), got cuda:0",
          [](Call& c) { c.dst_scale.device.type = DeviceType::kCuda; });
  Refused(
      "dst_scale must have memory of its own for every element, got strides [4, 1] for shape "
      "[40, 8]",
      [](Call& c) { c.dst_scale.strides = {4, 1}; });
  Refused("dst_k must share no memory with dst_scale, got overlapping address ranges",
          [](Call& c) { c.dst_scale.address = c.dst_k.address; });
  Refused("dst_scale must share no memory with kv_cache, got overlapping address ranges",
          [](Call& c) { c.dst_scale.address = c.kv_cache.address + 5; });
  Refused("dst_k must share no memory with block_table, got overlapping address ranges",
          [](Call& c) { c.block_table.address = c.dst_k.address; });
  Refused("dst_k must share no memory with cu_seq_lens, got overlapping address ranges",
          [](Call& c) { c.cu_seq_lens.address = c.dst_k.address; });
  Refused("dst_scale must share no memory with block_table, got overlapping address ranges",
          [](Call& c) { c.block_table.address = c.dst_scale.address; });
  Refused("dst_scale must share no memory with cu_seq_lens, got overlapping address ranges",
          [](Call& c) { c.cu_seq_lens.address = c.dst_scale.address; });
  Refused("block_table must have at least 3 sequences, got shape [2, 5]",
          [](Call& c) { c.block_table.Reshape({2, 5}); });
}

}  // namespace
}  // namespace stablekv

int main() {
  stablekv::TestParams();
  stablekv::TestNoBlocks();
  stablekv::TestRefused();
  return stablekv::testing::Finish();
}
