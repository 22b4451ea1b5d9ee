// merge_attn_states on CUDA against the CPU: bits where a state is taken as it is, and within the
// rounding of exponentials elsewhere; nothing else is written.
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "csrc/kernels/attention/merge_attn_states.h"
#include "csrc/kernels/common/cuda/test_support.h"

namespace stablekv::testing {
namespace {

struct Case {
  ElementType element;
  bool fp8;
  int64_t num_tokens;
  int64_t num_heads;
  int64_t head_size;
  int64_t prefix_tokens;
  int64_t padding[3];  // elements after a head of output, prefix, suffix; with it, a head a token
  int64_t misalign;    // elements that all three are off 16-byte alignment
  bool tokens_first;   // in the memory of lse
  bool with_lse;
  bool at_ties = false;  // suffixes are where a product and a quotient round to different fp8
};

// An element of any format whose product with the inverse of the scale rounds to another fp8 than
// its quotient.
constexpr float kTieScale = 0.3f;
constexpr float kTie = 0.00439453125f;

std::string Describe(const Case& c) {
  return std::string(Name(c.element)) + (c.fp8 ? "/fp8" : "") + " T" +
         std::to_string(c.num_tokens) + " H" + std::to_string(c.num_heads) + " D" +
         std::to_string(c.head_size) + " prefix " + std::to_string(c.prefix_tokens) + " pad " +
         std::to_string(c.padding[0]) + "/" + std::to_string(c.padding[1]) + "/" +
         std::to_string(c.padding[2]) + " off " + std::to_string(c.misalign) +
         (c.at_ties ? " at ties" : "");
}

template <typename Data>
AttnStates<Data> StatesOf(Data* data, const Case& c, int64_t padding) {
  const int64_t head_stride = c.head_size + padding;
  return {data, (c.num_heads + (padding == 0 ? 0 : 1)) * head_stride, head_stride};
}

template <typename Data>
AttnLses<Data> LsesOf(Data* data, const Case& c) {
  if (c.tokens_first) return {data, 1, c.num_heads};
  return {data, c.num_tokens, 1};
}

std::vector<uint8_t> MakeStates(const Case& c, int64_t padding, Random* random) {
  const int64_t bytes = SizeOf(c.element);
  std::vector<uint8_t> states(StatesOf<void>(nullptr, c, padding).token_stride * c.num_tokens *
                              bytes);
  for (size_t i = 0; i < states.size() / bytes; ++i) {
    SetBits(&states, i, bytes, EncodeElement(c.element, random->Normal()));
  }
  return states;
}

std::vector<uint8_t> MakeSuffix(const Case& c, Random* random) {
  std::vector<uint8_t> states = MakeStates(c, c.padding[2], random);
  const int64_t bytes = SizeOf(c.element);
  for (size_t i = 0; c.at_ties && i < states.size() / bytes; ++i) {
    SetBits(&states, i, bytes, EncodeElement(c.element, i % 2 == 0 ? kTie : -kTie));
  }
  return states;
}

std::vector<float> MakeLses(const Case& c, int64_t phase, Random* random) {
  std::vector<float> lses(c.num_heads * c.num_tokens);
  const float special[] = {INFINITY, -INFINITY, 80.0f, -80.0f};
  for (size_t i = 0; i < lses.size(); ++i) {
    const bool pick = (i / (phase == 0 ? 1 : 3)) % 5 == 2;
    lses[i] = pick ? special[random->Below(4)] : 4.0f * random->Normal();
  }
  return lses;
}

// Whether two outputs are as near as their elements allow, with `slack` for the arithmetic.
bool IsNear(const Case& c, uint32_t got, uint32_t want) {
  if (got == want) return true;
  if (c.fp8) {
    const double low = DecodeFp8(CacheType::kFp8E4M3, static_cast<uint8_t>(got));
    const double high = DecodeFp8(CacheType::kFp8E4M3, static_cast<uint8_t>(want));
    return std::fabs(low - high) <= 0.13 * std::fabs(high) + 0.002;  // neighbours
  }
  const float x = DecodeElement(c.element, got);
  const float y = DecodeElement(c.element, want);
  const float unit = c.element == ElementType::kFloat32   ? 1e-6f
                     : c.element == ElementType::kFloat16 ? 1e-3f
                                                          : 8e-3f;
  return std::fabs(x - y) <= unit * std::fabs(y) + 1e-5f;
}

void Run(const Case& c) {
  Random random(c.num_tokens * 131 + c.num_heads * 17 + c.head_size + c.misalign);
  const int64_t bytes = SizeOf(c.element);
  const int64_t out_bytes = c.fp8 ? 1 : bytes;
  const std::vector<uint8_t> prefix = MakeStates(c, c.padding[1], &random);
  const std::vector<uint8_t> suffix = MakeSuffix(c, &random);
  const std::vector<float> prefix_lse = MakeLses(c, 0, &random);
  const std::vector<float> suffix_lse = MakeLses(c, 1, &random);
  const std::vector<float> scale = {c.at_ties ? kTieScale : 0.05f};
  const int64_t out_size = StatesOf<void>(nullptr, c, c.padding[0]).token_stride * c.num_tokens;
  std::vector<uint8_t> output(out_size * out_bytes, 0xff);
  std::vector<float> lse(prefix_lse.size(), -12345.0f);

  const DeviceBytes device_prefix(prefix, c.misalign * bytes);
  const DeviceBytes device_suffix(suffix, c.misalign * bytes);
  const DeviceBytes device_prefix_lse(prefix_lse);
  const DeviceBytes device_suffix_lse(suffix_lse);
  const DeviceBytes device_scale(scale);
  const DeviceBytes device_output(output, c.misalign * out_bytes);
  const DeviceBytes device_lse(lse);
  MergeAttnStatesParams p = {};
  p.num_tokens = c.num_tokens;
  p.num_heads = c.num_heads;
  p.head_size = c.head_size;
  p.prefix_tokens = c.prefix_tokens;
  p.element = c.element;
  p.output = StatesOf(device_output.data(), c, c.padding[0]);
  p.prefix = StatesOf<const void>(device_prefix.data(), c, c.padding[1]);
  p.suffix = StatesOf<const void>(device_suffix.data(), c, c.padding[2]);
  p.prefix_lse = LsesOf<const float>(device_prefix_lse.As<float>(), c);
  p.suffix_lse = LsesOf<const float>(device_suffix_lse.As<float>(), c);
  p.output_lse = LsesOf(c.with_lse ? device_lse.As<float>() : nullptr, c);
  p.output_scale = c.fp8 ? device_scale.As<float>() : nullptr;
  const Status status = MergeAttnStatesCuda(p, nullptr);
  Expect(status.ok(), Describe(c) + ": " + status.message());

  p.output.data = output.data();
  p.prefix.data = prefix.data();
  p.suffix.data = suffix.data();
  p.prefix_lse.data = prefix_lse.data();
  p.suffix_lse.data = suffix_lse.data();
  p.output_lse.data = c.with_lse ? lse.data() : nullptr;
  p.output_scale = c.fp8 ? scale.data() : nullptr;
  const Status on_cpu = MergeAttnStatesCpu(p, &SerialFor);
  Expect(on_cpu.ok(), Describe(c) + ": " + on_cpu.message());

  const std::vector<uint8_t> got = device_output.Read();
  const auto at = [](const auto& tensor, int64_t token, int64_t head) {
    return token * tensor.token_stride + head * tensor.head_stride;
  };
  std::vector<uint8_t> expected = output;  // becomes `got` where that is near
  for (int64_t token = 0; token < c.num_tokens; ++token) {
    for (int64_t head = 0; head < c.num_heads; ++head) {
      const bool sum =
          token < c.prefix_tokens && (std::isfinite(prefix_lse[at(p.prefix_lse, token, head)]) ||
                                      std::isfinite(suffix_lse[at(p.suffix_lse, token, head)]));
      for (int64_t d = 0; sum && d < c.head_size; ++d) {
        const int64_t i = at(p.output, token, head) + d;
        const uint32_t bits = GetBits(got, i, out_bytes);
        if (IsNear(c, bits, GetBits(output, i, out_bytes))) SetBits(&expected, i, out_bytes, bits);
      }
    }
  }
  Expect(got == expected, Describe(c) + ": output differs");
  const std::vector<uint8_t> got_lse = device_lse.Read();
  for (size_t i = 0; i < lse.size(); ++i) {
    const uint32_t bits = GetBits(got_lse, i, 4);
    const float x = DecodeElement(ElementType::kFloat32, bits);
    Expect(x == lse[i] || std::fabs(x - lse[i]) <= 1e-5f, Describe(c) + ": lse differs");
  }
}

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const ElementType element : kElements) {
    for (const bool fp8 : {false, true}) {
      for (const int64_t head_size : {1, 7, 8, 32, 96, 128, 250, 576}) {
        for (const int64_t prefix_tokens : {0, 5, 13}) {
          cases.push_back({element,
                           fp8,
                           13,
                           3,
                           head_size,
                           prefix_tokens,
                           {0, 0, 0},
                           0,
                           head_size % 2 == 0,
                           prefix_tokens != 5});
        }
      }
      for (const int64_t padding : {1, 4, 8, 16}) {
        cases.push_back({element, fp8, 9, 2, 64, 9, {padding, 0, 0}, 0, false, true});
        cases.push_back({element, fp8, 9, 2, 64, 9, {0, padding, 0}, 0, true, true});
        cases.push_back({element, fp8, 9, 2, 64, 9, {0, 0, padding}, 0, false, true});
      }
      cases.push_back({element, fp8, 9, 2, 30, 9, {2, 2, 2}, 0, false, true});  // aligned rows
      cases.push_back({element, fp8, 9, 2, 6, 9, {2, 2, 2}, 0, false, true});   // of odd lengths
      for (const int64_t misalign : {1, 2, 4, 8}) {
        cases.push_back({element, fp8, 9, 2, 64, 7, {0, 0, 0}, misalign, false, true});
      }
      for (const int64_t head_size : {7, 64}) {
        cases.push_back({element, fp8, 9, 2, head_size, 0, {0, 0, 0}, 0, false, true, true});
      }
      cases.push_back({element, fp8, 0, 2, 64, 0, {0, 0, 0}, 0, false, true});
      cases.push_back({element, fp8, 300, 40, 16, 200, {0, 0, 0}, 0, false, true});
    }
  }
  return cases;
}

}  // namespace
}  // namespace stablekv::testing

int main() {
  namespace t = stablekv::testing;
  return t::RunCases("merge_attn_states_cuda_test", &t::Cases, &t::Run);
}
