// reshape_and_cache_flash into nvfp4 caches on CUDA against the CPU: all bytes of both caches.
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "csrc/kernels/cache/reshape_and_cache_nvfp4.h"
#include "csrc/kernels/common/cuda/test_inputs.h"
#include "csrc/kernels/common/cuda/test_support.h"

namespace stablekv::testing {
namespace {

struct Case {
  ElementType element;
  bool hnd;
  float scale = 1.0f;
  int64_t num_tokens = 20;
  int64_t num_heads = 3;
  int64_t head_size = 128;
  int64_t block_size = 8;
  int64_t source_gap = 0;  // elements after each head
  int64_t page_gap = 0;    // bytes after each page
  int64_t misalign = 0;    // elements of the sources and bytes of the caches
};

std::string Describe(const Case& c) {
  return std::string(Name(c.element)) + (c.hnd ? " HND" : " NHD") + " scale " +
         std::to_string(c.scale) + " T" + std::to_string(c.num_tokens) + " H" +
         std::to_string(c.num_heads) + " D" + std::to_string(c.head_size) + " bs" +
         std::to_string(c.block_size) + " gaps " + std::to_string(c.source_gap) + "/" +
         std::to_string(c.page_gap) + " off" + std::to_string(c.misalign);
}

int64_t NumBlocks(const Case& c) { return c.num_tokens / c.block_size + 3; }

// Groups of 16: of any bits, of zeros, of multiples of a quarter up to 6 (with a scale of 1 these
// are e2m1's values and all ties between them), with specials, or of ordinary numbers.
std::vector<uint8_t> MakeSource(const Case& c, int64_t count, Random* random) {
  std::vector<uint8_t> source = RandomElements(c.element, CacheType::kAuto, count, 1.0f, random);
  for (int64_t first = 0; first < count; first += kNvfp4Group) {
    const int64_t kind = random->Below(5);
    const float power = std::ldexp(1.0f, static_cast<int>(random->Below(9)) - 4);
    for (int64_t i = first; i < count && i < first + kNvfp4Group; ++i) {
      const float sign = random->Below(2) == 0 ? 1.0f : -1.0f;
      const float quarters = i == first ? 6.0f : 0.25f * static_cast<float>(random->Below(25));
      uint32_t bits = static_cast<uint32_t>(random->Next() >> 48);
      if (kind == 1) bits = EncodeElement(c.element, sign * 0.0f);
      if (kind == 2) bits = EncodeElement(c.element, sign * quarters * power);
      if (kind <= 2) SetBits(&source, i, 2, bits);
    }
  }
  return source;
}

struct Side {
  Side(const Case& c, Random* random) {
    strides.source_head_stride = c.head_size + c.source_gap;
    strides.source_token_stride = c.num_heads * strides.source_head_stride + c.source_gap;
    strides.page_stride = c.block_size * c.num_heads * c.head_size / kNvfp4Group * 9 + c.page_gap;
    source = MakeSource(c, c.num_tokens * strides.source_token_stride, random);
    cache = RandomBytes(NumBlocks(c) * strides.page_stride, random);
  }

  Nvfp4Side OnHost(const float* scale) {
    Nvfp4Side side = strides;
    side.source = reinterpret_cast<const uint16_t*>(source.data());
    side.cache = cache.data();
    side.scale = scale;
    return side;
  }

  Nvfp4Side strides = {};
  std::vector<uint8_t> source;
  std::vector<uint8_t> cache;
};

class DeviceSide {
 public:
  DeviceSide(const Case& c, const Side& side)
      : strides_(side.strides),
        source_(side.source, 2 * c.misalign),
        cache_(side.cache, c.misalign) {}

  Nvfp4Side Get(const float* scale) const {
    Nvfp4Side side = strides_;
    side.source = source_.As<uint16_t>();
    side.cache = cache_.As<uint8_t>();
    side.scale = scale;
    return side;
  }
  std::vector<uint8_t> ReadCache() const { return cache_.Read(); }

 private:
  Nvfp4Side strides_;
  DeviceBytes source_;
  DeviceBytes cache_;
};

bool SwizzlesValues() {
  int device = 0;
  int major = 0;
  Must(cudaGetDevice(&device), "cudaGetDevice");
  Must(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device), "its capability");
  return major != 12;
}

// The CPU always swizzles values, and never keys: where the device does not, values stand as keys.
void RunOnCpu(const std::string& name, ReshapeAndCacheNvfp4Params params, Side* key, Side* value,
              const float* scales) {
  Side spare = *value;
  const bool swizzled = SwizzlesValues();
  for (const bool first : {true, false}) {
    if (!first && swizzled) break;
    params.key = first ? key->OnHost(scales) : value->OnHost(scales + 1);
    params.value = first && swizzled ? value->OnHost(scales + 1) : spare.OnHost(scales + 1);
    const Status status = ReshapeAndCacheNvfp4Cpu(params, &SerialFor);
    Expect(status.ok(), name + ": on the CPU: " + status.message());
  }
}

void Run(const Case& c) {
  Random random(c.num_tokens * 131 + c.num_heads * 17 + c.head_size + c.misalign);
  Side key(c, &random);
  Side value(c, &random);
  const int64_t num_slots = NumBlocks(c) * c.block_size;
  const std::vector<int64_t> slots = RandomSlots(c.num_tokens, num_slots, &random);
  const std::vector<float> scales = {c.scale, 0.0371f * c.scale};
  const DeviceSide device_key(c, key);
  const DeviceSide device_value(c, value);
  const DeviceBytes device_slots(slots);
  const DeviceBytes device_scales(scales);

  ReshapeAndCacheNvfp4Params params = {};
  params.num_tokens = c.num_tokens;
  params.num_blocks = NumBlocks(c);
  params.block_size = c.block_size;
  params.num_heads = c.num_heads;
  params.head_size = c.head_size;
  params.hnd = c.hnd;
  params.element = c.element;
  params.key = device_key.Get(device_scales.As<float>());
  params.value = device_value.Get(device_scales.As<float>() + 1);
  params.slot_mapping = device_slots.As<int64_t>();
  const Status status = ReshapeAndCacheNvfp4Cuda(params, nullptr);
  Expect(status.ok(), Describe(c) + ": " + status.message());

  const std::vector<int64_t> host_slots = WithoutSlotsPast(slots, num_slots);
  params.slot_mapping = host_slots.data();
  RunOnCpu(Describe(c), params, &key, &value, scales.data());
  Expect(device_key.ReadCache() == key.cache, Describe(c) + ": key cache differs");
  Expect(device_value.ReadCache() == value.cache, Describe(c) + ": value cache differs");
}

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const ElementType element : {ElementType::kFloat16, ElementType::kBFloat16}) {
    for (const bool hnd : {false, true}) {
      const Case plain = {element, hnd};
      const auto add = [&](auto change) {
        cases.push_back(plain);
        change(&cases.back());
      };
      for (const float scale : {1.0f, 0.25f, 0.011f, 1e-30f, 1e-42f, 3e38f, 0.0f, -0.5f, NAN}) {
        add([&](Case* c) { c->scale = scale; });
      }
      for (const int64_t head_size : {64, 192, 576}) {
        add([&](Case* c) { c->head_size = head_size, c->scale = 0.011f; });
      }
      add([](Case* c) { c->num_heads = 1; });
      add([](Case* c) { c->block_size = 4; });
      add([](Case* c) { c->num_tokens = 0; });
      add([](Case* c) { c->num_tokens = 300; });  // several CTAs
      for (const int64_t gap : {1, 8}) {
        add([&](Case* c) { c->source_gap = gap; });
        add([&](Case* c) { c->page_gap = gap; });
      }
      for (const int64_t misalign : {1, 4, 8}) add([&](Case* c) { c->misalign = misalign; });
    }
  }
  return cases;
}

}  // namespace
}  // namespace stablekv::testing

int main() {
  namespace t = stablekv::testing;
  return t::RunCases("reshape_and_cache_nvfp4_cuda_test", &t::Cases, &t::Run);
}
