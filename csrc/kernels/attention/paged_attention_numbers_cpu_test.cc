// Numbers that go through attention on the CPU unchanged, to the bit, and those that are no
// numbers.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "csrc/kernels/attention/attention_test_units.h"
#include "csrc/kernels/attention/paged_attention_cpu.h"
#include "csrc/kernels/common/bfloat16.h"
#include "csrc/kernels/common/float16.h"
#include "csrc/kernels/common/fp8.h"
#include "csrc/kernels/common/testing.h"

namespace stablekv {
namespace {

using testing::kCaches;
using testing::kElements;
using testing::Unit;
using testing::Units;

// Of dense tensors with one kv head, scales of 1, and a block for each sequence; the caller sets
// the pointers.
PagedAttentionParams ParamsOf(ElementType element, CacheType cache, int64_t seqs, int64_t group,
                              int64_t head_size, int64_t block_size) {
  static const float one = 1;
  PagedAttentionParams p{};
  p.k_scale = p.v_scale = &one;
  p.num_seqs = p.num_blocks = seqs;
  p.num_heads = group;
  p.num_kv_heads = 1;
  p.head_size = p.out_head_stride = p.query_head_stride = head_size;
  p.out_seq_stride = p.query_seq_stride = group * head_size;
  p.block_size = p.max_seq_len = block_size;
  p.max_blocks_per_seq = p.block_tables_stride = 1;
  p.key_cache_block_stride = p.key_cache_head_stride = p.value_cache_block_stride =
      p.value_cache_head_stride = head_size * block_size;
  p.scale = 1;
  p.element = element;
  p.cache = cache;
  return p;
}

// One token has the weight 1, so that its values come out as they went in: every code of a narrow
// format, to the bit. Those of several blocks' sizes lie differently in vectors. AMX takes
// subnormal bfloat16 for 0.
void CheckEveryCode(ElementType element, CacheType cache, int64_t block_size, int64_t group,
                    const Unit& unit) {
  constexpr int64_t kHead = 256;
  const bool keeps_subnormals = std::string(unit.name) != "amx" || group == 1;
  const bool fp8 = cache != CacheType::kAuto;
  const int64_t bytes = fp8 ? 1 : 2;
  const int64_t seqs = fp8 ? 1 : 256;
  const auto size = static_cast<size_t>(kHead * block_size * bytes * seqs);
  const std::vector<uint8_t> keys(size);
  std::vector<uint8_t> values(size, 0xFF);
  std::vector<int32_t> table, lengths(static_cast<size_t>(seqs), 1);
  for (int64_t s = 0; s < seqs; ++s) {
    table.push_back(static_cast<int32_t>(s));
    for (int64_t d = 0; d < kHead; ++d) {
      const auto code = static_cast<uint16_t>(s * kHead + d);
      memcpy(values.data() + ((s * kHead + d) * block_size) * bytes, &code,
             static_cast<size_t>(bytes));
    }
  }
  const int64_t out_bytes = SizeOf(element);
  const std::vector<uint8_t> query(static_cast<size_t>(seqs * group * kHead * out_bytes));
  std::vector<uint8_t> out(query.size());
  PagedAttentionParams p = ParamsOf(element, cache, seqs, group, kHead, block_size);
  p.out = out.data();
  p.query = query.data();
  p.key_cache = keys.data();
  p.value_cache = values.data();
  p.block_tables = table.data();
  p.seq_lens = lengths.data();
  CHECK_OK(PagedAttentionWith(unit.functions, p, SerialFor), unit.name);
  const auto widen = element == ElementType::kFloat16 ? &Float16ToFloat : &BFloat16ToFloat;
  for (int64_t i = 0; i < seqs * group * kHead; ++i) {
    const int64_t code = i / (group * kHead) * kHead + i % kHead;
    float want = cache == CacheType::kFp8E4M3   ? Fp8E4M3ToFloat(static_cast<uint8_t>(code))
                 : cache == CacheType::kFp8E5M2 ? Fp8E5M2ToFloat(static_cast<uint8_t>(code))
                                                : widen(static_cast<uint16_t>(code));
    if (!keeps_subnormals && std::fabs(want) < 0x1p-126f) want = 0;
    float got = 0;
    if (element == ElementType::kFloat32) {
      memcpy(&got, out.data() + i * 4, 4);
    } else {
      uint16_t bits = 0;
      memcpy(&bits, out.data() + i * 2, 2);
      got = widen(bits);
    }
    const bool same = want != want ? got != got : got == want;
    CHECK_THAT(same, unit.name << " block " << block_size << " group " << group << " code " << code
                               << " is " << got << ", want " << want);
  }
}

void TestEveryCode() {
  for (const int64_t block_size : kBlockSizes) {
    for (const CacheType cache : kCaches) {
      for (const ElementType element : kElements) {
        if (cache == CacheType::kAuto && element == ElementType::kFloat32) continue;  // no code
        for (const int64_t group : {1, 9}) {
          for (const Unit& unit : Units()) {
            CheckEveryCode(element, cache, block_size, group, unit);
          }
        }
      }
    }
  }
}

// A token whose logit is -Inf has no weight, whatever the parts that a query is worked with in.
void TestInfiniteKey() {
  constexpr int64_t kHead = 32, kBlock = 16, kGroup = 9;
  std::vector<uint8_t> keys(kHead * kBlock), values(kHead * kBlock, 0x3C);  // 1 in e5m2
  keys[0] = 0xFC;                                                           // -Inf: token 0
  for (size_t d = 0; d < kHead; ++d) values[d * kBlock + 1] = 0x45;         // 5: token 1
  const std::vector<uint16_t> query(kGroup * kHead, 0x3C01);                // 1 + 2^-10 in float16
  std::vector<uint16_t> out(query.size());
  const int32_t block = 0, length = 2;
  PagedAttentionParams p =
      ParamsOf(ElementType::kFloat16, CacheType::kFp8E5M2, 1, kGroup, kHead, kBlock);
  p.out = out.data();
  p.key_cache = keys.data();
  p.value_cache = values.data();
  p.block_tables = &block;
  p.seq_lens = &length;
  for (const uint16_t first : {0x3C01, 0x3C00}) {  // with and without a second part
    std::vector<uint16_t> queries = query;
    for (size_t head = 0; head < kGroup; ++head) queries[head * kHead] = first;
    p.query = queries.data();
    for (const Unit& unit : Units()) {
      CHECK_OK(PagedAttentionWith(unit.functions, p, SerialFor), unit.name);
      for (size_t i = 0; i < out.size(); ++i) {
        CHECK_EQUAL(out[i], 0x4500, unit.name << " element " << i);
      }
    }
  }
}

// Where every logit is -Inf no token has a weight, in however many tiles and partitions they are.
void TestInfiniteQuery() {
  constexpr int64_t kHead = 256, kBlock = 32, kGroup = 3;
  const std::vector<float> ones(kHead * kBlock, 1.0f);
  const std::vector<float> query(2 * kGroup * kHead, -INFINITY);
  const std::vector<int32_t> lengths = {1100, 300}, table(2 * 35, 0);
  PagedAttentionParams p =
      ParamsOf(ElementType::kFloat32, CacheType::kAuto, 2, kGroup, kHead, kBlock);
  p.num_blocks = 1;
  p.max_seq_len = 1100;
  p.max_blocks_per_seq = p.block_tables_stride = 35;
  p.query = query.data();
  p.key_cache = p.value_cache = ones.data();
  p.block_tables = table.data();
  p.seq_lens = lengths.data();
  for (const Unit& unit : Units()) {
    std::vector<float> out(query.size(), 7.0f);
    p.out = out.data();
    CHECK_OK(PagedAttentionWith(unit.functions, p, SerialFor), unit.name);
    CHECK_THAT(out == std::vector<float>(out.size(), 0.0f), unit.name);
  }
}

}  // namespace
}  // namespace stablekv

int main() {
  stablekv::testing::SayWhichIsas();
  stablekv::TestEveryCode();
  stablekv::TestInfiniteKey();
  stablekv::TestInfiniteQuery();
  return stablekv::testing::Finish();
}
