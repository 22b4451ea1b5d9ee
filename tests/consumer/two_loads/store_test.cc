// Calls a kernel through its parameters: no torch anywhere.
#include <cstdint>
#include <cstdio>
#include <vector>

#include "csrc/kernels/cache/reshape_and_cache_flash.h"
#include "csrc/kernels/common/parallel.h"
#include "csrc/kernels/common/status.h"
#include "csrc/kernels/common/types.h"

int main() {
  constexpr int64_t kTokens = 3, kBlocks = 4, kBlockSize = 2, kHeads = 2, kHeadSize = 8;
  constexpr int64_t kRow = kHeads * kHeadSize;
  const std::vector<int64_t> slots = {5, -1, 0};  // -1: padding
  std::vector<float> key(kTokens * kRow), value(kTokens * kRow);
  for (size_t i = 0; i < key.size(); ++i) {
    key[i] = 1 + static_cast<float>(i);
    value[i] = -key[i];
  }
  std::vector<float> key_cache(kBlocks * kBlockSize * kRow), value_cache(key_cache.size());
  std::vector<float> wanted(key_cache.size());
  for (int64_t token = 0; token < kTokens; ++token) {
    if (slots[token] < 0) continue;
    for (int64_t i = 0; i < kRow; ++i) wanted[slots[token] * kRow + i] = key[token * kRow + i];
  }

  stablekv::ReshapeAndCacheFlashParams params{};
  params.key = {key.data(), key_cache.data(),  nullptr, kRow,
                kHeadSize,  kBlockSize * kRow, kRow,    kHeadSize};
  params.value = params.key;
  params.value.source = value.data();
  params.value.cache = value_cache.data();
  params.slot_mapping = slots.data();
  params.num_tokens = kTokens;
  params.num_blocks = kBlocks;
  params.block_size = kBlockSize;
  params.num_heads = kHeads;
  params.head_size = kHeadSize;
  params.element = stablekv::ElementType::kFloat32;
  params.cache = stablekv::CacheType::kAuto;
  const stablekv::Status status = stablekv::ReshapeAndCacheFlashCpu(params, &stablekv::SerialFor);
  if (!status.ok()) {
    std::printf("%s\n", status.message().c_str());
    return 1;
  }
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (key_cache[i] != wanted[i] || value_cache[i] != -wanted[i]) {
      std::printf("element %zu: %g and %g, wanted %g\n", i, key_cache[i], value_cache[i],
                  wanted[i]);
      return 1;
    }
  }
}
