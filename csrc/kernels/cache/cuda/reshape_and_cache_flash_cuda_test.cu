// reshape_and_cache_flash on CUDA against the CPU: all bytes of both caches.
#include <cstdint>
#include <string>
#include <vector>

#include "csrc/kernels/cache/reshape_and_cache_flash.h"
#include "csrc/kernels/common/cuda/test_inputs.h"
#include "csrc/kernels/common/cuda/test_support.h"

namespace stablekv::testing {
namespace {

struct Case {
  ElementType element;
  CacheType cache;
  bool scale_per_head;
  int64_t num_tokens = 20;
  int64_t num_heads = 3;
  int64_t head_size = 64;
  int64_t block_size = 16;
  bool key_hnd = false;
  bool value_hnd = false;
  int64_t source_gap = 0;  // elements after each head
  int64_t cache_gap = 0;
  int64_t misalign = 0;  // elements that every tensor is off 16-byte alignment
};

std::string Describe(const Case& c) {
  return std::string(Name(c.element)) + "/" + Name(c.cache) + (c.scale_per_head ? " by head" : "") +
         " T" + std::to_string(c.num_tokens) + " H" + std::to_string(c.num_heads) + " D" +
         std::to_string(c.head_size) + " bs" + std::to_string(c.block_size) +
         (c.key_hnd ? " HND" : " NHD") + (c.value_hnd ? "/HND" : "/NHD") + " gaps " +
         std::to_string(c.source_gap) + "/" + std::to_string(c.cache_gap) + " off" +
         std::to_string(c.misalign);
}

int64_t NumBlocks(const Case& c) { return c.num_tokens / c.block_size + 3; }

// The tensors of the keys or of the values, on the host and on the device.
struct Side {
  Side(const Case& c, bool hnd, float first_scale, Random* random) : strides(StridesOf(c, hnd)) {
    for (int64_t h = 0; h < c.num_heads; ++h) scales.push_back(first_scale * (1.0f + 0.3f * h));
    source = RandomElements(c.element, c.cache, c.num_tokens * strides.source_token_stride,
                            first_scale, random);
    const int64_t bytes = SizeOf(c.cache, c.element);
    cache = RandomBytes(NumBlocks(c) * strides.cache_block_stride * bytes, random);
  }

  static FlashSide StridesOf(const Case& c, bool hnd) {
    const int64_t pitch = c.head_size + c.cache_gap;
    FlashSide side = {};
    side.source_head_stride = c.head_size + c.source_gap;
    side.source_token_stride = c.num_heads * side.source_head_stride + c.source_gap;
    side.cache_token_stride = hnd ? pitch : c.num_heads * pitch;
    side.cache_head_stride = hnd ? c.block_size * pitch : pitch;
    side.cache_block_stride = c.block_size * c.num_heads * pitch + c.cache_gap;
    return side;
  }

  FlashSide OnHost() {
    FlashSide side = strides;
    side.source = source.data();
    side.cache = cache.data();
    side.scale = scales.data();
    return side;
  }

  FlashSide strides;
  std::vector<uint8_t> source;
  std::vector<uint8_t> cache;
  std::vector<float> scales;
};

class DeviceSide {
 public:
  DeviceSide(const Case& c, const Side& side)
      : strides_(side.strides),
        source_(side.source, c.misalign * SizeOf(c.element)),
        cache_(side.cache, c.misalign * SizeOf(c.cache, c.element)),
        scales_(side.scales) {}

  // What is not to be read is null.
  FlashSide Get(bool scaled) const {
    FlashSide side = strides_;
    side.source = source_.data();
    side.cache = cache_.data();
    side.scale = scaled ? scales_.As<float>() : nullptr;
    return side;
  }
  std::vector<uint8_t> ReadCache() const { return cache_.Read(); }

 private:
  FlashSide strides_;
  DeviceBytes source_;
  DeviceBytes cache_;
  DeviceBytes scales_;
};

void Run(const Case& c) {
  Random random(c.num_tokens * 131 + c.num_heads * 17 + c.head_size + c.misalign);
  Side key(c, c.key_hnd, 0.0371f, &random);
  Side value(c, c.value_hnd, 0.125f, &random);  // a power of two
  const int64_t num_slots = NumBlocks(c) * c.block_size;
  const std::vector<int64_t> slots = RandomSlots(c.num_tokens, num_slots, &random);
  const DeviceSide device_key(c, key);
  const DeviceSide device_value(c, value);
  const DeviceBytes device_slots(slots);

  ReshapeAndCacheFlashParams params = {};
  params.num_tokens = c.num_tokens;
  params.num_blocks = NumBlocks(c);
  params.block_size = c.block_size;
  params.num_heads = c.num_heads;
  params.head_size = c.head_size;
  params.scale_stride = c.scale_per_head ? 1 : 0;
  params.element = c.element;
  params.cache = c.cache;
  params.key = device_key.Get(c.cache != CacheType::kAuto);
  params.value = device_value.Get(c.cache != CacheType::kAuto);
  params.slot_mapping = device_slots.As<int64_t>();
  const Status status = ReshapeAndCacheFlashCuda(params, nullptr);
  Expect(status.ok(), Describe(c) + ": " + status.message());

  const std::vector<int64_t> host_slots = WithoutSlotsPast(slots, num_slots);
  params.key = key.OnHost();
  params.value = value.OnHost();
  params.slot_mapping = host_slots.data();
  const Status on_cpu = ReshapeAndCacheFlashCpu(params, &SerialFor);
  Expect(on_cpu.ok(), Describe(c) + ": on the CPU: " + on_cpu.message());
  Expect(device_key.ReadCache() == key.cache, Describe(c) + ": key cache differs");
  Expect(device_value.ReadCache() == value.cache, Describe(c) + ": value cache differs");
}

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const ElementType element : kElements) {
    for (const CacheType cache : kCaches) {
      for (const bool by_head : {false, true}) {
        const Case plain = {element, cache, by_head};
        const auto add = [&](auto change) {
          cases.push_back(plain);
          change(&cases.back());
        };
        add([](Case*) {});
        add([](Case* c) { c->key_hnd = c->value_hnd = true; });
        add([](Case* c) { c->value_hnd = true; });
        add([](Case* c) { c->num_tokens = 0; });
        add([](Case* c) { c->num_tokens = 300; });  // several CTAs
        add([](Case* c) { c->num_heads = 1; });
        for (const int64_t head_size : {1, 7, 80, 600}) {  // 600: more than a piece of a row
          add([&](Case* c) { c->head_size = head_size; });
          add([&](Case* c) { c->head_size = head_size, c->key_hnd = true, c->block_size = 5; });
        }
        for (const int64_t gap : {1, 16}) {  // 16: still aligned
          add([&](Case* c) { c->source_gap = gap; });
          add([&](Case* c) { c->cache_gap = gap; });
        }
        for (const int64_t misalign : {1, 4}) add([&](Case* c) { c->misalign = misalign; });
      }
    }
  }
  return cases;
}

}  // namespace
}  // namespace stablekv::testing

int main() {
  namespace t = stablekv::testing;
  return t::RunCases("reshape_and_cache_flash_cuda_test", &t::Cases, &t::Run);
}
