// The CPU kernel against the address formula, element by element.
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "csrc/kernels/cache/reshape_and_cache_flash.h"
#include "csrc/kernels/common/fp8.h"
#include "csrc/kernels/common/testing.h"

namespace stablekv {
namespace {

// Float32 tokens to a cache of fp8 or of float32, keys and values laid out differently.
struct Case {
  std::string name;
  int64_t num_heads;
  int64_t head_size;
  bool key_hnd;
  bool value_hnd;
  int64_t gap;  // elements after each head, at the source and in the cache
  bool scale_per_head;
  CacheType cache;
};

constexpr int64_t kBlockSize = 4;
constexpr int64_t kNumBlocks = 3;
constexpr uint8_t kUntouched = 0xAB;
const std::vector<int64_t> kSlots = {7, -1, 0, 11, std::numeric_limits<int64_t>::min(), 4};

struct Side {
  std::vector<float> source;
  std::vector<uint8_t> cache;
  std::vector<float> scales;
  FlashSide side;
};

Side MakeSide(const Case& test, bool hnd, float first_scale) {
  Side made;
  const int64_t pitch = test.head_size + test.gap;
  const auto num_tokens = static_cast<int64_t>(kSlots.size());
  for (int64_t i = 0; i < num_tokens * test.num_heads * pitch; ++i) {
    made.source.push_back(static_cast<float>(i % 97) * 0.37f - 17.0f);
  }
  const int64_t bytes = SizeOf(test.cache, ElementType::kFloat32);
  const int64_t elements = kNumBlocks * kBlockSize * test.num_heads * pitch;
  made.cache.assign(static_cast<size_t>(elements * bytes), kUntouched);
  for (int64_t h = 0; h < (test.scale_per_head ? test.num_heads : 1); ++h) {
    made.scales.push_back(first_scale + 0.25f * static_cast<float>(h));
  }
  made.side = {made.source.data(),
               made.cache.data(),
               made.scales.data(),
               test.num_heads * pitch,
               pitch,
               kBlockSize * test.num_heads * pitch,
               hnd ? pitch : test.num_heads * pitch,
               hnd ? kBlockSize * pitch : pitch};
  return made;
}

ReshapeAndCacheFlashParams ParamsOf(const Case& test, const Side& key, const Side& value) {
  ReshapeAndCacheFlashParams params = {};
  params.key = key.side;
  params.value = value.side;
  params.slot_mapping = kSlots.data();
  params.num_tokens = static_cast<int64_t>(kSlots.size());
  params.num_blocks = kNumBlocks;
  params.block_size = kBlockSize;
  params.num_heads = test.num_heads;
  params.head_size = test.head_size;
  params.scale_stride = test.scale_per_head ? 1 : 0;
  params.element = ElementType::kFloat32;
  params.cache = test.cache;
  return params;
}

// The bytes that the formula gives, beside those that were there.
std::vector<uint8_t> Expected(const Case& test, bool hnd, const Side& side) {
  std::vector<uint8_t> want(side.cache.size(), kUntouched);
  const int64_t pitch = test.head_size + test.gap;
  for (size_t i = 0; i < kSlots.size(); ++i) {
    if (kSlots[i] < 0) continue;
    const int64_t b = kSlots[i] / kBlockSize;
    const int64_t o = kSlots[i] % kBlockSize;
    for (int64_t h = 0; h < test.num_heads; ++h) {
      for (int64_t d = 0; d < test.head_size; ++d) {
        const int64_t row = static_cast<int64_t>(i) * test.num_heads + h;
        const float x = side.source[static_cast<size_t>(row * pitch + d)];
        const int64_t line = hnd ? (b * test.num_heads + h) * kBlockSize + o
                                 : (b * kBlockSize + o) * test.num_heads + h;
        const auto at = static_cast<size_t>(line * pitch + d);
        const float scale = side.scales[test.scale_per_head ? static_cast<size_t>(h) : 0];
        if (test.cache == CacheType::kAuto) {
          memcpy(&want[at * 4], &x, 4);
        } else {
          want[at] = test.cache == CacheType::kFp8E4M3 ? FloatToFp8E4M3(x / scale)
                                                       : FloatToFp8E5M2(x / scale);
        }
      }
    }
  }
  return want;
}

void Run(const Case& test) {
  for (const ParallelFor parallel_for : {&SerialFor, &testing::BackwardsFor<>}) {
    const Side key = MakeSide(test, test.key_hnd, 0.5f);
    const Side value = MakeSide(test, test.value_hnd, 0.0371f);
    CHECK_OK(ReshapeAndCacheFlashCpu(ParamsOf(test, key, value), parallel_for), test.name);
    CHECK_THAT(key.cache == Expected(test, test.key_hnd, key), test.name << ", keys");
    CHECK_THAT(value.cache == Expected(test, test.value_hnd, value), test.name << ", values");
  }
}

void TestLayouts() {
  for (const CacheType cache : {CacheType::kAuto, CacheType::kFp8E4M3, CacheType::kFp8E5M2}) {
    for (const bool per_head : {false, true}) {
      Run({"NHD", 3, 46, false, false, 0, per_head, cache});
      Run({"HND", 3, 46, true, true, 0, per_head, cache});
      Run({"NHD and HND", 2, 64, false, true, 0, per_head, cache});
      Run({"gaps", 3, 5, false, true, 3, per_head, cache});
      Run({"small", 2, 3, false, false, 0, per_head, cache});
      Run({"one head", 1, 1, true, false, 0, per_head, cache});
    }
  }
}

// Heads that lie one after another are one long row, unless they differ in their scales.
void TestJoinHeads() {
  const auto joined = [](const Case& test) {
    const Side key = MakeSide(test, test.key_hnd, 1.0f);
    const Side value = MakeSide(test, test.value_hnd, 1.0f);
    return JoinHeads(ParamsOf(test, key, value)).num_heads == 1;
  };
  CHECK_THAT(joined({"", 3, 8, false, false, 0, false, CacheType::kFp8E4M3}), "");
  CHECK_THAT(joined({"", 3, 8, false, false, 0, true, CacheType::kAuto}), "");
  CHECK_THAT(!joined({"", 3, 8, false, false, 0, true, CacheType::kFp8E4M3}), "");
  CHECK_THAT(!joined({"", 3, 8, false, true, 0, false, CacheType::kFp8E4M3}), "");
  CHECK_THAT(!joined({"", 3, 8, false, false, 1, false, CacheType::kFp8E4M3}), "");
}

void TestSlotPastTheCache() {
  const Case test{"", 2, 8, false, false, 0, false, CacheType::kAuto};
  const Side key = MakeSide(test, false, 1.0f);
  const Side value = MakeSide(test, false, 1.0f);
  ReshapeAndCacheFlashParams params = ParamsOf(test, key, value);
  params.num_blocks = 2;
  CHECK_ERROR(ReshapeAndCacheFlashCpu(params, &SerialFor),
              "slot_mapping[3] is 11, want less than 8");
  CHECK_THAT(key.cache == std::vector<uint8_t>(key.cache.size(), kUntouched), "nothing written");
}

}  // namespace
}  // namespace stablekv

int main() {
  stablekv::TestLayouts();
  stablekv::TestJoinHeads();
  stablekv::TestSlotPastTheCache();
  return stablekv::testing::Finish();
}
