#include "csrc/ops/paged_attention.h"

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "csrc/ops/testing.h"

namespace stablekv {
namespace {

using testing::FakeTensor;

constexpr int64_t kInt32Max = std::numeric_limits<int32_t>::max();

// A call that is right: 2 sequences of up to 1040 tokens, 6 heads of 64 over 3 kv heads, 9 blocks
// of 16 tokens, tables of 66 columns, 3 partitions.
struct Call {
  FakeTensor out{"out", DType::kFloat16, {2, 6, 64}};
  FakeTensor query{"query", DType::kFloat16, {2, 6, 64}};
  FakeTensor key_cache{"key_cache", DType::kFloat16, {9, 3, 8, 16, 8}};
  FakeTensor value_cache{"value_cache", DType::kFloat16, {9, 3, 64, 16}};
  int64_t num_kv_heads = 3;
  double scale = 0.125;
  FakeTensor block_tables{"block_tables", DType::kInt32, {2, 66}};
  FakeTensor seq_lens{"seq_lens", DType::kInt32, {2}};
  int64_t block_size = 16;
  int64_t max_seq_len = 1040;
  std::optional<FakeTensor> alibi_slopes;
  std::string kv_cache_dtype = "auto";
  FakeTensor k_scale{"k_scale", DType::kFloat32, {}};
  FakeTensor v_scale{"v_scale", DType::kFloat32, {1}};
  BlockSparseParams block_sparse{};
  FakeTensor exp_sums{"exp_sums", DType::kFloat32, {2, 6, 3}};
  FakeTensor max_logits{"max_logits", DType::kFloat32, {2, 6, 3}};
  FakeTensor tmp_out{"tmp_out", DType::kFloat16, {2, 6, 3, 64}};

  void SetElement(DType dtype) {
    for (FakeTensor* tensor : {&out, &query, &key_cache, &value_cache, &tmp_out}) {
      tensor->dtype = dtype;
    }
    if (dtype == DType::kFloat32) key_cache.Reshape({9, 3, 16, 16, 4});
  }

  void SetHeadSize(int64_t head_size) {
    out.Reshape({2, 6, head_size});
    query.Reshape({2, 6, head_size});
    key_cache.Reshape({9, 3, head_size / 8, 16, 8});
    value_cache.Reshape({9, 3, head_size, 16});
    tmp_out.Reshape({2, 6, 3, head_size});
  }

  void SetFp8(const char* text) {
    kv_cache_dtype = text;
    key_cache.dtype = value_cache.dtype = DType::kUInt8;
    key_cache.Reshape({9, 3, query.sizes[2] / 16, 16, 16});
  }

  PagedAttentionArgs Args() const {
    PagedAttentionArgs args{out.arg(),
                            query.arg(),
                            key_cache.arg(),
                            value_cache.arg(),
                            num_kv_heads,
                            scale,
                            block_tables.arg(),
                            seq_lens.arg(),
                            block_size,
                            max_seq_len,
                            std::nullopt,
                            kv_cache_dtype,
                            k_scale.arg(),
                            v_scale.arg(),
                            block_sparse.tp_rank,
                            block_sparse.local_blocks,
                            block_sparse.vert_stride,
                            block_sparse.block_size,
                            block_sparse.head_sliding_step};
    if (alibi_slopes.has_value()) args.alibi_slopes = alibi_slopes->arg();
    return args;
  }

  Status PrepareV1(PagedAttentionParams* params) const {
    return PreparePagedAttentionV1(Args(), params);
  }
  Status PrepareV2(PagedAttentionParams* params, PagedAttentionScratch* scratch) const {
    return PreparePagedAttentionV2(Args(), {exp_sums.arg(), max_logits.arg(), tmp_out.arg()},
                                   params, scratch);
  }
};

using Change = std::function<void(Call&)>;

void TestParams() {
  Call call;
  call.out.strides = {5000, 65, 1};
  call.query.strides = {6000, 66, 1};
  call.key_cache.strides = {70000, 9000, 128, 8, 1};
  call.value_cache.strides = {80000, 8000, 16, 1};
  call.block_tables.strides = {77, 1};
  call.alibi_slopes = FakeTensor("alibi_slopes", DType::kFloat32, {6});
  call.block_sparse = {1, 2, 3, 4, 5};
  PagedAttentionParams params;
  PagedAttentionScratch scratch;
  CHECK_MESSAGE(call.PrepareV1(&params), "");
  params = {};
  CHECK_MESSAGE(call.PrepareV2(&params, &scratch), "");
  CHECK_THAT(params.out == call.out.arg().data, "");
  CHECK_THAT(params.query == call.query.arg().data, "");
  CHECK_THAT(params.key_cache == call.key_cache.arg().data, "");
  CHECK_THAT(params.value_cache == call.value_cache.arg().data, "");
  CHECK_THAT(params.k_scale == call.k_scale.arg().data, "");
  CHECK_THAT(params.v_scale == call.v_scale.arg().data, "");
  CHECK_THAT(params.block_tables == call.block_tables.arg().data, "");
  CHECK_THAT(params.seq_lens == call.seq_lens.arg().data, "");
  CHECK_THAT(params.alibi_slopes == call.alibi_slopes->arg().data, "");
  CHECK_EQUAL(params.num_seqs, 2, "");
  CHECK_EQUAL(params.num_heads, 6, "");
  CHECK_EQUAL(params.num_kv_heads, 3, "");
  CHECK_EQUAL(params.head_size, 64, "");
  CHECK_EQUAL(params.block_size, 16, "");
  CHECK_EQUAL(params.num_blocks, 9, "");
  CHECK_EQUAL(params.max_blocks_per_seq, 66, "");
  CHECK_EQUAL(params.max_seq_len, 1040, "");
  CHECK_EQUAL(params.out_seq_stride, 5000, "");
  CHECK_EQUAL(params.out_head_stride, 65, "");
  CHECK_EQUAL(params.query_seq_stride, 6000, "");
  CHECK_EQUAL(params.query_head_stride, 66, "");
  CHECK_EQUAL(params.key_cache_block_stride, 70000, "");
  CHECK_EQUAL(params.key_cache_head_stride, 9000, "");
  CHECK_EQUAL(params.value_cache_block_stride, 80000, "");
  CHECK_EQUAL(params.value_cache_head_stride, 8000, "");
  CHECK_EQUAL(params.block_tables_stride, 77, "");
  CHECK_EQUAL(params.block_sparse.tp_rank, 1, "");
  CHECK_EQUAL(params.block_sparse.local_blocks, 2, "");
  CHECK_EQUAL(params.block_sparse.vert_stride, 3, "");
  CHECK_EQUAL(params.block_sparse.block_size, 4, "");
  CHECK_EQUAL(params.block_sparse.head_sliding_step, 5, "");
  CHECK_EQUAL(params.scale, 0.125f, "");
  CHECK_THAT(params.element == ElementType::kFloat16, "");
  CHECK_THAT(params.cache == CacheType::kAuto, "");
  CHECK_THAT(scratch.exp_sums == call.exp_sums.arg().data, "");
  CHECK_THAT(scratch.max_logits == call.max_logits.arg().data, "");
  CHECK_THAT(scratch.tmp_out == call.tmp_out.arg().data, "");
}

// Both versions take the call.
PagedAttentionParams Accepted(const Change& change) {
  Call call;
  change(call);
  PagedAttentionParams params;
  PagedAttentionScratch scratch;
  CHECK_MESSAGE(call.PrepareV1(&params), "");
  CHECK_MESSAGE(call.PrepareV2(&params, &scratch), "");
  return params;
}

void TestAccepted() {
  CHECK_THAT(Accepted([](Call&) {}).alibi_slopes == nullptr, "");
  for (const int64_t head_size : kHeadSizes) {
    const auto params = Accepted([&](Call& c) { c.SetHeadSize(head_size); });
    CHECK_EQUAL(params.head_size, head_size, "");
  }
  for (const int64_t block_size : kBlockSizes) {
    Accepted([&](Call& c) {
      c.block_size = block_size;
      c.key_cache.Reshape({9, 3, 8, block_size, 8});
      c.value_cache.Reshape({9, 3, 64, block_size});
      c.block_tables.Reshape({2, (1040 + block_size - 1) / block_size});
    });
  }
  Accepted([](Call& c) { c.SetElement(DType::kFloat32); });
  Accepted([](Call& c) { c.SetElement(DType::kBFloat16); });
  auto params = Accepted([](Call& c) {
    c.SetElement(DType::kFloat32);
    c.SetFp8("fp8_e5m2");
  });
  CHECK_THAT(params.cache == CacheType::kFp8E5M2, "");
  CHECK_THAT(params.element == ElementType::kFloat32, "");
  Accepted([](Call& c) {  // no sequences, the way an empty batch comes
    c.out.Reshape({0, 6, 64});
    c.query.Reshape({0, 6, 64});
    c.block_tables.Reshape({0, 0});
    c.seq_lens.Reshape({0});
    c.exp_sums.Reshape({0});
    c.max_logits.Reshape({0});
    c.tmp_out.Reshape({0});
    for (FakeTensor* tensor : {&c.out, &c.query, &c.block_tables, &c.seq_lens}) {
      tensor->address = 0;
    }
  });
  Accepted([](Call& c) {  // sequences without tokens, nothing in the cache
    c.max_seq_len = 0;
    c.block_tables.Reshape({2, 0});
    c.key_cache.Reshape({0, 3, 8, 16, 8});
    c.value_cache.Reshape({0, 3, 64, 16});
    c.exp_sums.Reshape({2, 6, 0});
    c.max_logits.Reshape({2, 6, 0});
    c.tmp_out.Reshape({2, 6, 0, 64});
  });
  Accepted([](Call& c) {  // a query out of packed qkv, out beside it
    c.query.strides = c.out.strides = {12 * 64, 64, 1};
    c.out.address = c.query.address + 6 * 64 * 2;
  });
  Accepted([](Call& c) {  // strides of dimensions of size 1 mean nothing
    c.query.Reshape({1, 6, 64});
    c.out.Reshape({1, 6, 64});
    c.block_tables.Reshape({1, 66});
    c.seq_lens.Reshape({1});
    c.query.strides[0] = c.out.strides[0] = c.seq_lens.strides[0] = 5;
    c.exp_sums.Reshape({1, 36});
    c.exp_sums.strides[0] = 0;
  });
  Accepted([](Call& c) { c.query.strides = {0, 0, 1}; });  // the same query for all
  Accepted([](Call& c) {                                   // larger scratch, of any rank
    c.exp_sums.Reshape({2, 6, 4});
    c.max_logits.Reshape({36});
    c.tmp_out.Reshape({100, 64});
  });
  Accepted([](Call& c) { c.alibi_slopes = FakeTensor("alibi_slopes", DType::kFloat32, {6}); });
  Accepted([](Call& c) {  // as many heads as kv heads
    c.query.Reshape({2, 3, 64});
    c.out.Reshape({2, 3, 64});
  });
  params = Accepted([](Call& c) { c.block_sparse = {-1, -1, 1, -1, -1}; });
  CHECK_THAT(!params.block_sparse.active(), "");
}

// Both versions refuse the call with the same words.
void Refused(const std::string& want, const Change& change) {
  Call call;
  change(call);
  PagedAttentionParams params;
  PagedAttentionScratch scratch;
  CHECK_MESSAGE(call.PrepareV1(&params), "paged_attention_v1: " + want);
  CHECK_MESSAGE(call.PrepareV2(&params, &scratch), "paged_attention_v2: " + want);
}

void TestQueryAndOut() {
  Refused(
      "query must be float32, float16 or bfloat16, got int32 (Unsupported input type of kv cache: "
      "int32)",
      [](Call& c) { c.query.dtype = DType::kInt32; });
  Refused("query must be on the CPU or on a CUDA device, got a device that no operator runs on",
          [](Call& c) { c.query.device.type = DeviceType::kOther; });
  Refused(
      "query must have memory for all its elements, got a storage that was freed or is too small "
      "for shape [2, 6, 64]",
      [](Call& c) { c.query.address = 0; });
  Refused("query must have shape [num_seqs, num_heads, head_size], got [2, 1, 6, 64]",
          [](Call& c) { c.query.Reshape({2, 1, 6, 64}); });
  for (const int64_t head_size : {0, 16, 48, 512}) {
    const std::string text = std::to_string(head_size);
    Refused("query must have a head size in [32, 64, 80, 96, 112, 120, 128, 192, 256], got " +
                text + " (Unsupported head size: " + text + ")",
            [&](Call& c) { c.SetHeadSize(head_size); });
  }
  Refused(
      "query must be contiguous from dimension 2 on, got strides [768, 128, 2] for shape "
      "[2, 6, 64]",
      [](Call& c) { c.query.strides = {768, 128, 2}; });

  Refused("out must be float16 (the dtype of query), got float32",
          [](Call& c) { c.out.dtype = DType::kFloat32; });
  Refused("out must be on cpu (the device of query), got cuda:0",
          [](Call& c) { c.out.device.type = DeviceType::kCuda; });
  Refused("out must have shape [num_seqs, num_heads, head_size] = [2, 6, 64], got [2, 384]",
          [](Call& c) { c.out.Reshape({2, 384}); });
  Refused("out must have shape [num_seqs, num_heads, head_size] = [2, 6, 64], got [3, 6, 64]",
          [](Call& c) { c.out.Reshape({3, 6, 64}); });
  Refused(
      "out must be contiguous from dimension 2 on, got strides [768, 128, 2] for shape [2, 6, 64]",
      [](Call& c) { c.out.strides = {768, 128, 2}; });
  Refused(
      "out must have memory of its own for every element, got strides [0, 64, 1] for shape "
      "[2, 6, 64]",
      [](Call& c) { c.out.strides = {0, 64, 1}; });
}

// What is read, by a call that has all of it.
void ForEachInput(const std::function<void(const char* name, FakeTensor Call::* input)>& test) {
  const Call call;
  for (FakeTensor Call::* const input :
       {&Call::query, &Call::key_cache, &Call::value_cache, &Call::block_tables, &Call::seq_lens,
        &Call::k_scale, &Call::v_scale}) {
    test((call.*input).name, input);
  }
}

void TestWrittenMemory() {
  const std::string overlap = ", got overlapping address ranges";
  ForEachInput([&](const char* name, FakeTensor Call::* input) {
    Refused(std::string("out must share no memory with ") + name + overlap,
            [&](Call& c) { (c.*input).address = c.out.address; });
  });
  Refused("out must share no memory with alibi_slopes" + overlap, [](Call& c) {
    c.alibi_slopes = FakeTensor("alibi_slopes", DType::kFloat32, {6});
    c.alibi_slopes->address = c.out.address;
  });
}

void TestScalars() {
  for (const int64_t block_size : {-16, 0, 1, 4, 12, 64}) {
    const std::string text = std::to_string(block_size);
    Refused("block_size must be in [8, 16, 32], got " + text + " (Unsupported block size: " + text +
                ")",
            [&](Call& c) { c.block_size = block_size; });
  }
  Refused(
      "key_cache must have shape [num_blocks, num_kv_heads, head_size / x, block_size, x] = "
      "[any, 3, 8, 32, 8], got [9, 3, 8, 16, 8]",
      [](Call& c) { c.block_size = 32; });
  for (const int64_t heads : {-3, 0}) {
    Refused("num_kv_heads must be positive, got " + std::to_string(heads),
            [&](Call& c) { c.num_kv_heads = heads; });
  }
  Refused("query must have a positive multiple of num_kv_heads = 4 heads, got 6",
          [](Call& c) { c.num_kv_heads = 4; });
  Refused("query must have a positive multiple of num_kv_heads = 3 heads, got 0",
          [](Call& c) { c.query.Reshape({2, 0, 64}); });
  Refused(
      "key_cache must have shape [num_blocks, num_kv_heads, head_size / x, block_size, x] = "
      "[any, 2, 8, 16, 8], got [9, 3, 8, 16, 8]",
      [](Call& c) { c.num_kv_heads = 2; });
  Refused("max_seq_len must be in [0, 2147483647], got -1", [](Call& c) { c.max_seq_len = -1; });
  Refused("max_seq_len must be in [0, 2147483647], got 2147483648",
          [](Call& c) { c.max_seq_len = kInt32Max + 1; });
  Refused("tp_rank must be >= 0 when blocksparse_vert_stride > 1, got -1",
          [](Call& c) { c.block_sparse = {-1, 0, 2, 64, 0}; });
}

void TestCaches() {
  Refused("key_cache must be float16 (the dtype of query) for kv_cache_dtype \"auto\", got uint8",
          [](Call& c) { c.key_cache.dtype = DType::kUInt8; });
  Refused("value_cache must be float8_e4m3fn or uint8 for kv_cache_dtype \"fp8\", got float16",
          [](Call& c) {
            c.SetFp8("fp8");
            c.value_cache.dtype = DType::kFloat16;
          });
  Refused(
      "query must have a head size that is a multiple of 16 for kv_cache_dtype \"fp8\", got 120",
      [](Call& c) {
        c.SetHeadSize(120);
        c.SetFp8("fp8");
      });
  Refused(
      "value_cache must have shape [num_blocks, num_kv_heads, head_size, block_size] = "
      "[9, 3, 64, 16], got [9, 3, 16, 64]",
      [](Call& c) { c.value_cache.Reshape({9, 3, 16, 64}); });
  Refused("v_scale must be float32, got float64",
          [](Call& c) { c.v_scale.dtype = DType::kFloat64; });
  Refused("k_scale must have exactly one element, got shape [3]",
          [](Call& c) { c.k_scale.Reshape({3}); });
}

void TestSequences() {
  Refused("block_tables must be int32, got int64",
          [](Call& c) { c.block_tables.dtype = DType::kInt64; });
  Refused("block_tables must be on cpu (the device of query), got cuda:0",
          [](Call& c) { c.block_tables.device.type = DeviceType::kCuda; });
  Refused("block_tables must have shape [num_seqs, max_blocks_per_seq] = [2, any], got [3, 66]",
          [](Call& c) { c.block_tables.Reshape({3, 66}); });
  Refused(
      "block_tables must be contiguous from dimension 1 on, got strides [1, 2] for shape [2, 66]",
      [](Call& c) { c.block_tables.strides = {1, 2}; });
  Refused(
      "block_tables must have at least 66 columns (max_seq_len = 1041, block_size = 16), got shape "
      "[2, 65]",
      [](Call& c) {
        c.max_seq_len = 1041;
        c.block_tables.Reshape({2, 65});
      });
  Refused(
      "block_tables must have at least 134217728 columns (max_seq_len = 2147483647, block_size = "
      "16), got shape [2, 66]",
      [](Call& c) { c.max_seq_len = kInt32Max; });
  Refused("seq_lens must be int32, got int64", [](Call& c) { c.seq_lens.dtype = DType::kInt64; });
  Refused("seq_lens must be on cpu (the device of query), got cuda:0",
          [](Call& c) { c.seq_lens.device.type = DeviceType::kCuda; });
  Refused("seq_lens must have shape [num_seqs] = [2], got [1]",
          [](Call& c) { c.seq_lens.Reshape({1}); });
  Refused("seq_lens must be contiguous, got strides [2] for shape [2]",
          [](Call& c) { c.seq_lens.strides = {2}; });

  const auto alibi = [](DType dtype, std::vector<int64_t> sizes) {
    return FakeTensor("alibi_slopes", dtype, std::move(sizes));
  };
  Refused("alibi_slopes must be float32, got float16",
          [&](Call& c) { c.alibi_slopes = alibi(DType::kFloat16, {6}); });
  Refused("alibi_slopes must have shape [num_heads] = [6], got [3]",
          [&](Call& c) { c.alibi_slopes = alibi(DType::kFloat32, {3}); });
  Refused("alibi_slopes must be contiguous, got strides [2] for shape [6]", [&](Call& c) {
    c.alibi_slopes = alibi(DType::kFloat32, {6});
    c.alibi_slopes->strides = {2};
  });
  Refused("alibi_slopes must be on cpu (the device of query), got cuda:0", [&](Call& c) {
    c.alibi_slopes = alibi(DType::kFloat32, {6});
    c.alibi_slopes->device.type = DeviceType::kCuda;
  });
}

void TestScratch() {
  const auto refused = [](const std::string& want, const Change& change) {
    Call call;
    change(call);
    PagedAttentionParams params;
    PagedAttentionScratch scratch;
    CHECK_MESSAGE(call.PrepareV1(&params), "");
    CHECK_MESSAGE(call.PrepareV2(&params, &scratch), "paged_attention_v2: " + want);
  };
  const std::string rows = "num_seqs * num_heads * ceil(max_seq_len / 512)";
  refused("exp_sums must be float32, got float16",
          [](Call& c) { c.exp_sums.dtype = DType::kFloat16; });
  refused("max_logits must be float32, got float64",
          [](Call& c) { c.max_logits.dtype = DType::kFloat64; });
  refused("tmp_out must be float16 (the dtype of query), got float32",
          [](Call& c) { c.tmp_out.dtype = DType::kFloat32; });
  refused("exp_sums must have at least " + rows + " = 36 elements, got shape [2, 6, 2]",
          [](Call& c) { c.exp_sums.Reshape({2, 6, 2}); });
  refused("max_logits must have at least " + rows + " = 36 elements, got shape [35]",
          [](Call& c) { c.max_logits.Reshape({35}); });
  refused("tmp_out must have at least " + rows + " * head_size = 2304 elements, got shape [2303]",
          [](Call& c) { c.tmp_out.Reshape({2303}); });
  refused("exp_sums must be contiguous, got strides [36, 6, 2] for shape [2, 6, 3]",
          [](Call& c) { c.exp_sums.strides = {36, 6, 2}; });
  refused("tmp_out must be contiguous, got strides [1152, 64, 384, 1] for shape [2, 6, 3, 64]",
          [](Call& c) { c.tmp_out.strides = {1152, 64, 384, 1}; });
  refused("max_logits must be on cpu (the device of query), got cuda:0",
          [](Call& c) { c.max_logits.device.type = DeviceType::kCuda; });
  const std::string overlap = ", got overlapping address ranges";
  refused("max_logits must share no memory with exp_sums" + overlap,
          [](Call& c) { c.max_logits.address = c.exp_sums.address + 35 * 4; });
  refused("tmp_out must share no memory with exp_sums" + overlap,
          [](Call& c) { c.tmp_out.address = c.exp_sums.address; });
  refused("tmp_out must share no memory with max_logits" + overlap,
          [](Call& c) { c.tmp_out.address = c.max_logits.address; });
  refused("tmp_out must share no memory with out" + overlap,
          [](Call& c) { c.tmp_out.address = c.out.address; });
  for (FakeTensor Call::* const scratch : {&Call::exp_sums, &Call::max_logits, &Call::tmp_out}) {
    ForEachInput([&](const char* name, FakeTensor Call::* input) {
      const Call names;
      refused(std::string((names.*scratch).name) + " must share no memory with " + name + overlap,
              [&](Call& c) { (c.*input).address = (c.*scratch).address; });
    });
  }
}

}  // namespace
}  // namespace stablekv

int main() {
  stablekv::TestParams();
  stablekv::TestAccepted();
  stablekv::TestQueryAndOut();
  stablekv::TestWrittenMemory();
  stablekv::TestScalars();
  stablekv::TestCaches();
  stablekv::TestSequences();
  stablekv::TestScratch();
  return stablekv::testing::Finish();
}
