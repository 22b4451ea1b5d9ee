// reshape_and_cache on CUDA against an element-by-element host loop: all bytes of both caches.
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "csrc/kernels/cache/reshape_and_cache.h"
#include "csrc/kernels/common/cuda/test_inputs.h"
#include "csrc/kernels/common/cuda/test_support.h"

namespace stablekv::testing {
namespace {

struct Case {
  ElementType element;
  CacheType cache;
  int64_t num_tokens;
  int64_t num_heads;
  int64_t head_size;
  int64_t block_size;
  int64_t x;         // 0: 16 bytes' worth
  int64_t misalign;  // elements that every tensor is off 16-byte alignment
  int64_t padding;   // elements between heads and between tokens, and in the caches
  bool consecutive;  // slots, as in a prompt
  bool aligned;      // the first of them begins a block, and few are skipped
};

std::string Describe(const Case& c) {
  return std::string(Name(c.element)) + "/" + Name(c.cache) + " T" + std::to_string(c.num_tokens) +
         " H" + std::to_string(c.num_heads) + " D" + std::to_string(c.head_size) + " bs" +
         std::to_string(c.block_size) + " x" + std::to_string(c.x) + " off" +
         std::to_string(c.misalign) + " pad" + std::to_string(c.padding) +
         (c.consecutive ? " prompt" : "") + (c.aligned ? " aligned" : "");
}

constexpr float kKeyScale = 0.0371f;
constexpr float kValueScale = 3e-3f;

std::vector<uint8_t> MakeSource(const Case& c, int64_t count, float scale, Random* random) {
  // Only float32 is fine enough to hit a middle.
  Expect(c.element != ElementType::kFloat32 || c.cache == CacheType::kAuto ||
             !Treacherous(c.element, c.cache, scale).empty(),
         "there are treacherous numbers for scale " + std::to_string(scale));
  return RandomElements(c.element, c.cache, count, scale, random);
}

uint32_t Store(const Case& c, uint32_t bits, float scale) {
  if (c.cache == CacheType::kAuto) return bits;
  return EncodeFp8(c.cache, DecodeElement(c.element, bits) / scale);
}

// Distinct slots, with tokens to skip: negative ones and ones past the cache.
std::vector<int64_t> MakeSlots(const Case& c, int64_t num_slots, Random* random) {
  std::vector<int64_t> free(num_slots);
  for (int64_t i = 0; i < num_slots; ++i) free[i] = i;
  if (!c.consecutive) {
    for (int64_t i = num_slots - 1; i > 0; --i) std::swap(free[i], free[random->Below(i + 1)]);
  }
  std::vector<int64_t> slots(c.num_tokens);
  for (int64_t i = 0; i < c.num_tokens; ++i) {
    slots[i] = free[c.aligned ? i : i + 1];
    if (i % 7 == 3 && !c.aligned) slots[i] = -1;
    if (i % 31 == 30) slots[i] = num_slots;
    if (i % 37 == 36) slots[i] = INT64_MAX;
  }
  return slots;
}

void Run(const Case& c) {
  Random random(c.num_tokens * 131 + c.num_heads * 17 + c.head_size);
  const int64_t element_bytes = SizeOf(c.element);
  const int64_t cache_bytes = SizeOf(c.cache, c.element);
  ReshapeAndCacheParams p = {};
  p.num_tokens = c.num_tokens;
  p.num_heads = c.num_heads;
  p.head_size = c.head_size;
  p.block_size = c.block_size;
  p.x = c.x != 0 ? c.x : 16 / cache_bytes;
  p.num_blocks = (c.num_tokens + 1) / c.block_size + 3;
  p.element = c.element;
  p.cache = c.cache;
  p.key_head_stride = c.head_size + c.padding;
  p.key_token_stride = c.num_heads * p.key_head_stride + c.padding;
  p.value_head_stride = c.head_size + 2 * c.padding;
  p.value_token_stride = c.num_heads * p.value_head_stride + 3 * c.padding;
  p.key_cache_head_stride = c.head_size * c.block_size + c.padding;
  p.key_cache_block_stride = c.num_heads * p.key_cache_head_stride + c.padding;
  p.value_cache_head_stride = c.head_size * c.block_size + 2 * c.padding;
  p.value_cache_block_stride = c.num_heads * p.value_cache_head_stride + c.padding;

  const std::vector<uint8_t> key =
      MakeSource(c, c.num_tokens * p.key_token_stride, kKeyScale, &random);
  const std::vector<uint8_t> value =
      MakeSource(c, c.num_tokens * p.value_token_stride, kValueScale, &random);
  std::vector<uint8_t> key_cache =
      RandomBytes(p.num_blocks * p.key_cache_block_stride * cache_bytes, &random);
  std::vector<uint8_t> value_cache =
      RandomBytes(p.num_blocks * p.value_cache_block_stride * cache_bytes, &random);
  const int64_t num_slots = p.num_blocks * p.block_size;
  const std::vector<int64_t> slots = MakeSlots(c, num_slots, &random);
  const std::vector<float> scales = {kKeyScale, kValueScale};

  const DeviceBytes device_key(key, c.misalign * element_bytes);
  const DeviceBytes device_value(value, c.misalign * element_bytes);
  const DeviceBytes device_key_cache(key_cache, c.misalign * cache_bytes);
  const DeviceBytes device_value_cache(value_cache, c.misalign * cache_bytes);
  const DeviceBytes device_slots(slots);
  const DeviceBytes device_scales(scales);
  p.key = device_key.data();
  p.value = device_value.data();
  p.key_cache = device_key_cache.data();
  p.value_cache = device_value_cache.data();
  p.slot_mapping = device_slots.As<int64_t>();
  // What is not to be read is null.
  if (c.cache != CacheType::kAuto) {
    p.k_scale = device_scales.As<float>();
    p.v_scale = device_scales.As<float>() + 1;
  }
  const Status status = ReshapeAndCacheCuda(p, nullptr);
  Expect(status.ok(), Describe(c) + ": " + status.message());

  for (int64_t i = 0; i < c.num_tokens; ++i) {
    if (slots[i] < 0 || slots[i] >= num_slots) continue;
    const int64_t block = slots[i] / c.block_size;
    const int64_t offset = slots[i] % c.block_size;
    for (int64_t h = 0; h < c.num_heads; ++h) {
      for (int64_t d = 0; d < c.head_size; ++d) {
        const int64_t from_key = i * p.key_token_stride + h * p.key_head_stride + d;
        const int64_t from_value = i * p.value_token_stride + h * p.value_head_stride + d;
        const int64_t to_key = block * p.key_cache_block_stride + h * p.key_cache_head_stride +
                               (d / p.x * c.block_size + offset) * p.x + d % p.x;
        const int64_t to_value = block * p.value_cache_block_stride +
                                 h * p.value_cache_head_stride + d * c.block_size + offset;
        SetBits(&key_cache, to_key, cache_bytes,
                Store(c, GetBits(key, from_key, element_bytes), scales[0]));
        SetBits(&value_cache, to_value, cache_bytes,
                Store(c, GetBits(value, from_value, element_bytes), scales[1]));
      }
    }
  }
  Expect(device_key_cache.Read() == key_cache, Describe(c) + ": key cache differs");
  Expect(device_value_cache.Read() == value_cache, Describe(c) + ": value cache differs");
}

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const ElementType element : kElements) {
    for (const CacheType cache : kCaches) {
      const auto add = [&](int64_t tokens, int64_t heads, int64_t head_size, int64_t block_size,
                           int64_t x, int64_t misalign, int64_t padding, bool consecutive,
                           bool aligned = false) {
        cases.push_back({element, cache, tokens, heads, head_size, block_size, x, misalign, padding,
                         consecutive, aligned});
      };
      add(0, 2, 64, 16, 0, 0, 0, false);
      add(1, 1, 32, 8, 0, 0, 0, false);
      add(42, 8, 80, 16, 0, 0, 0, false);
      add(42, 8, 80, 16, 0, 0, 16, true);  // strided, still aligned
      add(33, 3, 128, 32, 0, 0, 0, true);
      add(100, 40, 128, 16, 0, 0, 0, true);  // 640 chunks of a float16
      add(3, 64, 256, 8, 0, 0, 0, false);
      add(70, 2, 112, 32, 0, 1, 0, true);  // odd addresses
      add(70, 2, 112, 32, 0, 0, 1, true);  // odd strides
      add(37, 2, 120, 5, 8, 0, 0, false);  // x of its own, odd block size
      add(37, 3, 46, 16, 2, 0, 0, true);
      add(9, 2, 7, 3, 1, 3, 5, false);
      // Whole groups of slots, at every block size, some broken by a token to skip.
      for (const int64_t block_size : {8, 16, 32, 24}) {
        add(150, 3, 128, block_size, 0, 0, 0, true, true);
        add(70, 2, 176, block_size, 0, 0, 8, true, true);
      }
    }
  }
  return cases;
}

// Blocks so far apart that offsets need 64 bits: the same bytes as with blocks side by side.
int TestFarBlocks() {
  constexpr int64_t kTokens = 48;
  constexpr int64_t kBlock = 16 * 64;  // block_size 16, one head of 64
  constexpr int64_t kFar = (int64_t{1} << 31) + 16;
  if (!HaveMemory("far blocks", size_t{7} << 31)) return 0;
  Random random(5);
  std::vector<float> source(kTokens * 64);
  for (float& x : source) x = random.Normal();
  std::vector<int64_t> slots(kTokens);
  for (int64_t i = 0; i < kTokens; ++i) slots[i] = kTokens - 1 - i;
  const DeviceBytes device_source(source);
  const DeviceBytes device_slots(slots);
  const DeviceBytes scale(std::vector<float>{0.5f});
  const DeviceBytes near_keys(3 * kBlock);
  const DeviceBytes near_values(3 * kBlock);
  const DeviceBytes far_keys(3 * kFar);
  const DeviceBytes far_values(3 * kFar);

  ReshapeAndCacheParams p = {};
  p.key = p.value = device_source.data();
  p.slot_mapping = device_slots.As<int64_t>();
  p.k_scale = p.v_scale = scale.As<float>();
  p.num_tokens = kTokens;
  p.num_blocks = 3;
  p.num_heads = 1;
  p.head_size = 64;
  p.block_size = 16;
  p.x = 16;
  p.key_token_stride = p.value_token_stride = p.key_head_stride = p.value_head_stride = 64;
  p.key_cache_head_stride = p.value_cache_head_stride = kBlock;
  p.cache = CacheType::kFp8E4M3;
  for (const bool far : {false, true}) {
    p.key_cache = far ? far_keys.data() : near_keys.data();
    p.value_cache = far ? far_values.data() : near_values.data();
    p.key_cache_block_stride = p.value_cache_block_stride = far ? kFar : kBlock;
    const Status status = ReshapeAndCacheCuda(p, nullptr);
    Expect(status.ok(), "far blocks: " + status.message());
  }
  const std::vector<uint8_t> want[] = {near_keys.Read(), near_values.Read()};
  const DeviceBytes* far[] = {&far_keys, &far_values};
  for (int k = 0; k < 2; ++k) {
    for (int64_t b = 0; b < 3; ++b) {
      std::vector<uint8_t> got(kBlock);
      Must(cudaMemcpy(got.data(), far[k]->As<uint8_t>() + b * kFar, kBlock, cudaMemcpyDeviceToHost),
           "copy of a block");
      Expect(std::equal(got.begin(), got.end(), want[k].begin() + b * kBlock),
             "far block " + std::to_string(b) + " differs");
    }
  }
  return 1;
}

}  // namespace
}  // namespace stablekv::testing

int main() {
  namespace t = stablekv::testing;
  if (!t::HaveDevice("reshape_and_cache_cuda_test")) return 0;
  const std::vector<t::Case> cases = t::Cases();
  for (const t::Case& c : cases) t::Run(c);
  const int others = t::TestFarBlocks();
  return t::Report("reshape_and_cache_cuda_test", static_cast<int>(cases.size()) + others);
}
