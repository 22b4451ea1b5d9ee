#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "csrc/kernels/cache/reshape_and_cache.h"
#include "csrc/kernels/common/bfloat16.h"
#include "csrc/kernels/common/float16.h"
#include "csrc/kernels/common/fp8.h"
#include "csrc/kernels/common/testing.h"

namespace stablekv {
namespace {

constexpr uint8_t kUntouched = 0xC3;
constexpr int64_t kGap = 3;  // elements that a stride skips

struct Shape {
  ElementType element = ElementType::kFloat32;
  CacheType cache = CacheType::kAuto;
  int64_t heads = 2;
  int64_t head_size = 32;
  int64_t block_size = 8;
  int64_t x = 0;  // 0: 16 bytes' worth
  std::vector<int64_t> slots = {0};
  float scale = 1;
};

float ToFloat(ElementType element, uint32_t bits) {
  if (element == ElementType::kFloat32) return BitsToFloat(bits);
  return element == ElementType::kFloat16 ? Float16ToFloat(static_cast<uint16_t>(bits))
                                          : BFloat16ToFloat(static_cast<uint16_t>(bits));
}

// A problem whose tensors begin one element into their memory and have gaps between their rows.
class Problem {
 public:
  explicit Problem(const Shape& shape) : shape_(shape) {
    ReshapeAndCacheParams& p = params_;
    p.element = shape.element;
    p.cache = shape.cache;
    p.num_tokens = static_cast<int64_t>(shape.slots.size());
    p.num_heads = shape.heads;
    p.head_size = shape.head_size;
    p.block_size = shape.block_size;
    p.num_blocks = 9;
    p.x = shape.x > 0 ? shape.x : 16 / SizeOf(shape.cache, shape.element);
    p.slot_mapping = shape_.slots.data();
    p.k_scale = &k_scale_;
    p.v_scale = &v_scale_;
    k_scale_ = shape.scale;
    v_scale_ = shape.scale * 3;
    p.key_head_stride = p.head_size + kGap;
    p.key_token_stride = p.num_heads * p.key_head_stride + kGap;
    p.value_head_stride = p.head_size;
    p.value_token_stride = p.num_heads * p.value_head_stride + 2 * kGap;
    p.key_cache_head_stride = p.head_size * p.block_size;
    p.key_cache_block_stride = p.num_heads * p.key_cache_head_stride + kGap;
    p.value_cache_head_stride = p.head_size * p.block_size + kGap;
    p.value_cache_block_stride = p.num_heads * p.value_cache_head_stride;
    Fill(&key_, p.key_token_stride);
    Fill(&value_, p.value_token_stride);
    p.key = key_.data() + SizeOf(shape.element);
    p.value = value_.data() + SizeOf(shape.element);
    Clear();
  }

  ReshapeAndCacheParams& params() { return params_; }
  std::vector<int64_t>& slots() { return shape_.slots; }

  void Clear() {
    const int64_t bytes = SizeOf(shape_.cache, shape_.element);
    const auto size = [&](int64_t block_stride) {
      return static_cast<size_t>((params_.num_blocks * block_stride + 1) * bytes);
    };
    key_cache_.assign(size(params_.key_cache_block_stride), kUntouched);
    value_cache_.assign(size(params_.value_cache_block_stride), kUntouched);
    params_.key_cache = key_cache_.data() + bytes;
    params_.value_cache = value_cache_.data() + bytes;
  }

  void CheckUntouched() {
    Compare(std::vector<uint8_t>(key_cache_.size(), kUntouched), key_cache_, "key_cache");
    Compare(std::vector<uint8_t>(value_cache_.size(), kUntouched), value_cache_, "value_cache");
  }

  // Compares both caches, byte for byte, with what the formula of the header gives.
  void CheckResult() {
    const ReshapeAndCacheParams& p = params_;
    std::vector<uint8_t> keys(key_cache_.size(), kUntouched);
    std::vector<uint8_t> values(value_cache_.size(), kUntouched);
    for (int64_t i = 0; i < p.num_tokens; ++i) {
      const int64_t slot = p.slot_mapping[i];
      if (slot < 0) continue;
      const int64_t block = slot / p.block_size;
      const int64_t offset = slot % p.block_size;
      for (int64_t h = 0; h < p.num_heads; ++h) {
        for (int64_t d = 0; d < p.head_size; ++d) {
          Store(key_, i * p.key_token_stride + h * p.key_head_stride + d, *p.k_scale, &keys,
                block * p.key_cache_block_stride + h * p.key_cache_head_stride +
                    (d / p.x * p.block_size + offset) * p.x + d % p.x);
          Store(value_, i * p.value_token_stride + h * p.value_head_stride + d, *p.v_scale, &values,
                block * p.value_cache_block_stride + h * p.value_cache_head_stride +
                    d * p.block_size + offset);
        }
      }
    }
    Compare(keys, key_cache_, "key_cache");
    Compare(values, value_cache_, "value_cache");
  }

 private:
  // Random values of many magnitudes, and among them NaN, Inf, zeros, subnormals: any bits at all.
  void Fill(std::vector<uint8_t>* tensor, int64_t token_stride) {
    std::mt19937 random(7);
    const int64_t count = params_.num_tokens * token_stride + 1;
    for (int64_t i = 0; i < count; ++i) {
      uint32_t bits = static_cast<uint32_t>(random());
      if (i % 4 != 0) {  // near what a cache holds
        const float value = std::ldexp(static_cast<float>(random() % 2001) - 1000.0f,
                                       static_cast<int>(random() % 24) - 20);
        bits = shape_.element == ElementType::kFloat32   ? FloatToBits(value)
               : shape_.element == ElementType::kFloat16 ? FloatToFloat16(value)
                                                         : FloatToBFloat16(value);
      }
      const auto* bytes = reinterpret_cast<const uint8_t*>(&bits);
      tensor->insert(tensor->end(), bytes, bytes + SizeOf(shape_.element));
    }
  }

  void Store(const std::vector<uint8_t>& from, int64_t from_offset, float scale,
             std::vector<uint8_t>* to, int64_t to_offset) {
    const int64_t from_bytes = SizeOf(shape_.element);
    const int64_t to_bytes = SizeOf(shape_.cache, shape_.element);
    uint32_t bits = 0;
    memcpy(&bits, from.data() + (1 + from_offset) * from_bytes, static_cast<size_t>(from_bytes));
    if (shape_.cache != CacheType::kAuto) {
      const float quotient = ToFloat(shape_.element, bits) / scale;
      bits =
          shape_.cache == CacheType::kFp8E4M3 ? FloatToFp8E4M3(quotient) : FloatToFp8E5M2(quotient);
    }
    memcpy(to->data() + (1 + to_offset) * to_bytes, &bits, static_cast<size_t>(to_bytes));
  }

  void Compare(const std::vector<uint8_t>& want, const std::vector<uint8_t>& got,
               const char* name) {
    size_t first = 0;
    while (first < want.size() && want[first] == got[first]) ++first;
    CHECK_THAT(first == want.size(),
               name << " differs at byte " << first << ": " << +got[first] << ", want "
                    << +want[first] << " (element " << static_cast<int>(shape_.element) << " cache "
                    << static_cast<int>(shape_.cache) << " heads " << shape_.heads << " head_size "
                    << shape_.head_size << " block_size " << shape_.block_size << " x " << params_.x
                    << " scale " << shape_.scale << ")");
  }

  Shape shape_;
  ReshapeAndCacheParams params_{};
  float k_scale_ = 1;
  float v_scale_ = 1;
  std::vector<uint8_t> key_, value_, key_cache_, value_cache_;
};

void Check(const Shape& shape) {
  Problem problem(shape);
  for (const ParallelFor parallel_for : {&SerialFor, &testing::BackwardsFor<>}) {
    problem.Clear();
    CHECK_OK(ReshapeAndCacheCpu(problem.params(), parallel_for), "");
    problem.CheckResult();
  }
}

// Padding, slots that jump, and runs that begin and end within blocks, at block edges, and span
// several blocks.
std::vector<int64_t> MixedSlots(int64_t block_size) {
  std::vector<int64_t> slots = {-1, 5, block_size * 9 - 1, 0, 1, -7};
  for (int64_t s = block_size * 2 - 3; s < block_size * 5 + 1; ++s) slots.push_back(s);
  slots.push_back(-1);
  slots.push_back(block_size * 7 + 2);
  slots.push_back(block_size * 7 + 1);
  return slots;
}

constexpr ElementType kElements[] = {ElementType::kFloat32, ElementType::kFloat16,
                                     ElementType::kBFloat16};
constexpr CacheType kCaches[] = {CacheType::kAuto, CacheType::kFp8E4M3, CacheType::kFp8E5M2};

void TestTypes() {
  for (const ElementType element : kElements) {
    for (const CacheType cache : kCaches) {
      for (const int64_t block_size : {8, 16, 32}) {
        for (const int64_t head_size : {32, 80, 128, 272}) {
          for (const float scale : {0.0371f, 1.0f, 3e-3f}) {
            if (cache == CacheType::kAuto && scale != 1) continue;
            Check({element, cache, 3, head_size, block_size, 0, MixedSlots(block_size), scale});
          }
        }
      }
    }
  }
}

// Chunks, blocks and heads that paged attention does not take, and more than 512 chunks a token.
void TestOddSizes() {
  for (const ElementType element : kElements) {
    for (const CacheType cache : kCaches) {
      Check({element, cache, 2, 42, 5, 3, MixedSlots(5), 1});
      Check({element, cache, 1, 7, 6, 1, MixedSlots(6), 1});
      Check({element, cache, 1, 300, 40, 300, MixedSlots(40), 1});
      Check({element, cache, 65, 128, 16, 0, {3, 20, 21}, 1});
    }
  }
}

// Zero, negative, infinite and NaN scales follow the formula.
void TestScales() {
  for (const ElementType element : kElements) {
    for (const CacheType cache : {CacheType::kFp8E4M3, CacheType::kFp8E5M2}) {
      for (const float scale :
           {0.0f, -0.5f, INFINITY, std::nanf(""), std::numeric_limits<float>::denorm_min()}) {
        Check({element, cache, 2, 48, 16, 0, {17, 18, -1, 40}, scale});
      }
    }
  }
}

void TestNoTokens() {
  Problem problem({});
  problem.params().num_tokens = 0;
  problem.params().slot_mapping = nullptr;
  problem.params().key = problem.params().value = nullptr;
  CHECK_OK(ReshapeAndCacheCpu(problem.params(), SerialFor), "no tokens");
  problem.CheckUntouched();
}

void TestOnlyPadding() {
  Shape shape;
  shape.slots = {-1, -1, std::numeric_limits<int64_t>::min()};
  Problem problem(shape);
  problem.params().key = problem.params().value = nullptr;  // padding is not even read
  CHECK_OK(ReshapeAndCacheCpu(problem.params(), SerialFor), "only padding");
  problem.CheckUntouched();
}

void TestSlotPastTheCache() {
  for (const int64_t slot : {int64_t{72}, std::numeric_limits<int64_t>::max()}) {
    Shape shape;
    shape.slots = {0, 71, slot, 3};
    Problem problem(shape);
    CHECK_ERROR(ReshapeAndCacheCpu(problem.params(), SerialFor),
                "slot_mapping[2] is " + std::to_string(slot) + ", want less than 72");
    problem.CheckUntouched();
  }
}

void TestSizes() {
  Problem problem({});
  problem.params().x = 5;
  CHECK_ERROR(ReshapeAndCacheCpu(problem.params(), SerialFor), "key_cache has chunks of 5");
  problem.params().x = 4;
  problem.params().block_size = 0;
  CHECK_ERROR(ReshapeAndCacheCpu(problem.params(), SerialFor), "block_size is 0");
  problem.CheckUntouched();
}

}  // namespace
}  // namespace stablekv

int main() {
  stablekv::TestTypes();
  stablekv::TestOddSizes();
  stablekv::TestScales();
  stablekv::TestNoTokens();
  stablekv::TestOnlyPadding();
  stablekv::TestSlotPastTheCache();
  stablekv::TestSizes();
  return stablekv::testing::Finish();
}
