// The CPU kernel against the formulas of docs/layouts.md, element by element.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "csrc/kernels/cache/reshape_and_cache_nvfp4.h"
#include "csrc/kernels/common/bfloat16.h"
#include "csrc/kernels/common/fp8.h"
#include "csrc/kernels/common/nearest_code.h"
#include "csrc/kernels/common/testing.h"

namespace stablekv {
namespace {

struct Case {
  int64_t num_heads;
  int64_t head_size;
  int64_t block_size;
  bool hnd;
  int64_t gap;  // elements after each head of a source, bytes after each page
  float scale;
};

constexpr int64_t kNumBlocks = 3;
constexpr uint8_t kUntouched = 0xAB;
const std::vector<int64_t> kSlots = {7, -1, 0, 11, std::numeric_limits<int64_t>::min(), 4};

const testing::NearestCode kNearestFp4({2, 1}, /*max_code=*/7, /*overflow_code=*/7);
const testing::NearestCode kNearestFp8({4, 3}, /*max_code=*/0x7E, /*overflow_code=*/0x7E);

struct Side {
  std::vector<uint16_t> source;
  std::vector<uint8_t> cache;
  Nvfp4Side side;
};

int64_t PageBytes(const Case& test) {
  return test.block_size * test.num_heads * test.head_size / 16 * 9;
}

// Numbers of many sizes; every seventh group is of zeros, and some groups hold Inf.
Side MakeSide(const Case& test, const float* scale) {
  Side made;
  const int64_t pitch = test.head_size + test.gap;
  const auto num_tokens = static_cast<int64_t>(kSlots.size());
  for (int64_t i = 0; i < num_tokens * test.num_heads * pitch; ++i) {
    float x = std::ldexp(static_cast<float>(i % 97) - 48.0f, static_cast<int>(i / 16 % 11) - 9);
    if (i / 16 % 7 == 3) x = i % 2 == 0 ? 0.0f : -0.0f;
    if (i % 331 == 5) x = -INFINITY;
    made.source.push_back(FloatToBFloat16(x));
  }
  const int64_t page_stride = PageBytes(test) + test.gap;
  made.cache.assign(static_cast<size_t>(kNumBlocks * page_stride), kUntouched);
  made.side = {made.source.data(), made.cache.data(), scale, test.num_heads * pitch, pitch,
               page_stride};
  return made;
}

// Where a group's scale lies among those of its head and of four tokens.
void Swizzle(int64_t groups, int64_t* offset, int64_t* group) {
  const int64_t quarter = groups / 4;
  const int64_t token = *offset / 4 * 4 + *group / quarter;
  *group = *group % quarter * 4 + *offset % 4;
  *offset = token;
}

void ExpectGroup(const Case& test, const Side& side, bool swizzled, size_t token, int64_t head,
                 int64_t group, std::vector<uint8_t>* want) {
  const uint16_t* const from = side.source.data() +
                               static_cast<int64_t>(token) * side.side.source_token_stride +
                               head * side.side.source_head_stride + group * 16;
  float amax = 0;
  for (int i = 0; i < 16; ++i) amax = std::max(amax, std::fabs(BFloat16ToFloat(from[i])));
  const float inverse = 1.0f / test.scale;
  const auto scale = static_cast<uint8_t>(kNearestFp8(inverse * (amax * (1.0f / 6.0f))));
  const float stored = Fp8E4M3ToFloat(scale);
  const float multiplier = stored == 0 ? 0.0f : 1.0f / (stored * (1.0f / inverse));

  const int64_t block = kSlots[token] / test.block_size;
  int64_t offset = kSlots[token] % test.block_size;
  const auto row = [&] {
    return test.hnd ? head * test.block_size + offset : offset * test.num_heads + head;
  };
  uint8_t* const page = want->data() + block * side.side.page_stride;
  for (int i = 0; i < 8; ++i) {
    const uint32_t low = kNearestFp4(BFloat16ToFloat(from[2 * i]) * multiplier);
    const uint32_t high = kNearestFp4(BFloat16ToFloat(from[2 * i + 1]) * multiplier);
    page[row() * test.head_size / 2 + group * 8 + i] = static_cast<uint8_t>(low | high << 4);
  }
  const int64_t groups = test.head_size / 16;
  if (swizzled) Swizzle(groups, &offset, &group);
  page[test.block_size * test.num_heads * test.head_size / 2 + row() * groups + group] = scale;
}

std::vector<uint8_t> Expected(const Case& test, const Side& side, bool swizzled) {
  std::vector<uint8_t> want(side.cache.size(), kUntouched);
  for (size_t token = 0; token < kSlots.size(); ++token) {
    if (kSlots[token] < 0) continue;
    for (int64_t head = 0; head < test.num_heads; ++head) {
      for (int64_t group = 0; group < test.head_size / 16; ++group) {
        ExpectGroup(test, side, swizzled, token, head, group, &want);
      }
    }
  }
  return want;
}

void Run(const Case& test, ParallelFor parallel_for) {
  const Side key = MakeSide(test, &test.scale);
  const Side value = MakeSide(test, &test.scale);
  ReshapeAndCacheNvfp4Params params = {};
  params.key = key.side;
  params.value = value.side;
  params.slot_mapping = kSlots.data();
  params.num_tokens = static_cast<int64_t>(kSlots.size());
  params.num_blocks = kNumBlocks;
  params.block_size = test.block_size;
  params.num_heads = test.num_heads;
  params.head_size = test.head_size;
  params.hnd = test.hnd;
  params.element = ElementType::kBFloat16;
  CHECK_OK(ReshapeAndCacheNvfp4Cpu(params, parallel_for), "");
  const std::string name = (test.hnd ? "HND " : "NHD ") + std::to_string(test.head_size);
  CHECK_THAT(key.cache == Expected(test, key, /*swizzled=*/false), name << ", keys");
  CHECK_THAT(value.cache == Expected(test, value, /*swizzled=*/true), name << ", values");

  params.num_blocks = 11 / test.block_size;
  std::fill(params.key.cache, params.key.cache + key.cache.size(), kUntouched);
  CHECK_ERROR(ReshapeAndCacheNvfp4Cpu(params, &SerialFor), "slot_mapping[3] is 11");
  CHECK_THAT(key.cache == std::vector<uint8_t>(key.cache.size(), kUntouched), "nothing written");
}

}  // namespace
}  // namespace stablekv

int main() {
  for (const stablekv::ParallelFor parallel_for :
       {&stablekv::SerialFor, &stablekv::testing::BackwardsFor<>}) {
    for (const bool hnd : {false, true}) {
      stablekv::Run({3, 64, 4, hnd, 0, 1.0f}, parallel_for);
      stablekv::Run({1, 128, 8, hnd, 5, 0.011f}, parallel_for);
      stablekv::Run({2, 192, 4, hnd, 1, 37.5f}, parallel_for);
    }
  }
  return stablekv::testing::Finish();
}
