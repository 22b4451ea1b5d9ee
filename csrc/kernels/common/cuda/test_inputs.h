// What the CUDA tests of cache writers read: bytes, elements that are hard to store, and slots.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_CUDA_TEST_INPUTS_H_
#define STABLEKV_CSRC_KERNELS_COMMON_CUDA_TEST_INPUTS_H_

#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "csrc/kernels/common/cuda/test_support.h"
#include "csrc/kernels/common/types.h"

namespace stablekv::testing {

inline std::vector<uint8_t> RandomBytes(int64_t count, Random* random) {
  std::vector<uint8_t> bytes(count);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random->Next());
  return bytes;
}

// Elements whose fp8 is another when they are multiplied by 1 / scale: the quotient is halfway
// between two fp8, and the product just beside.
inline std::vector<float> Treacherous(ElementType element, CacheType cache, float scale) {
  std::vector<float> found;
  if (cache == CacheType::kAuto) return found;
  const std::vector<double> values = PositiveFp8(cache);
  for (size_t i = 0; i + 1 < values.size(); ++i) {
    const float middle = static_cast<float>((values[i] + values[i + 1]) / 2 * scale);
    for (const float near : {std::nextafter(middle, 0.0f), middle, std::nextafter(middle, 1e9f)}) {
      const float x = DecodeElement(element, EncodeElement(element, near));
      if (EncodeFp8(cache, x / scale) != EncodeFp8(cache, x * (1.0f / scale))) found.push_back(x);
    }
  }
  return found;
}

// Elements, some of them special: NaN of both signs, infinities, zeros, subnormals, huge ones and
// treacherous ones.
inline std::vector<uint8_t> RandomElements(ElementType element, CacheType cache, int64_t count,
                                           float scale, Random* random) {
  const int64_t bytes = SizeOf(element);
  std::vector<uint8_t> source(count * bytes);
  std::vector<float> specials = Treacherous(element, cache, scale);
  for (const float x : {NAN, -NAN, INFINITY, -INFINITY, 0.0f, -0.0f, 1e-3f, -1e-6f, 6e4f}) {
    specials.push_back(x);
  }
  for (int64_t i = 0; i < count; ++i) {
    const bool special = random->Below(8) == 0;
    const int64_t chosen = random->Below(static_cast<int64_t>(specials.size()));
    const float x = special ? specials[chosen] : random->Normal();
    SetBits(&source, i, bytes, EncodeElement(element, x));
  }
  return source;
}

// Distinct slots in no order for `num_tokens` < num_slots tokens, with some to skip: negative ones
// and ones past the cache.
inline std::vector<int64_t> RandomSlots(int64_t num_tokens, int64_t num_slots, Random* random) {
  std::vector<int64_t> free(num_slots);
  for (int64_t i = 0; i < num_slots; ++i) free[i] = i;
  for (int64_t i = num_slots - 1; i > 0; --i) std::swap(free[i], free[random->Below(i + 1)]);
  std::vector<int64_t> slots(free.begin(), free.begin() + num_tokens);
  for (int64_t i = 0; i < num_tokens; ++i) {
    if (i % 7 == 3) slots[i] = i % 2 == 0 ? -1 : INT64_MIN;
    if (i % 11 == 9) slots[i] = i % 2 == 0 ? num_slots : INT64_MAX;
  }
  return slots;
}

// The same with padding for slots past the cache: CUDA skips them, the CPU refuses the call.
inline std::vector<int64_t> WithoutSlotsPast(std::vector<int64_t> slots, int64_t num_slots) {
  for (int64_t& slot : slots) {
    if (slot >= num_slots) slot = -1;
  }
  return slots;
}

}  // namespace stablekv::testing

#endif  // STABLEKV_CSRC_KERNELS_COMMON_CUDA_TEST_INPUTS_H_
