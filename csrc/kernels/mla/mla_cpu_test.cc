// The MLA kernels on the CPU against loops over the formulas of their headers: every byte of every
// tensor.
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "csrc/kernels/common/bfloat16.h"
#include "csrc/kernels/common/float16.h"
#include "csrc/kernels/common/fp8.h"
#include "csrc/kernels/common/testing.h"
#include "csrc/kernels/mla/ds_mla_layout.h"
#include "csrc/kernels/mla/mla_test_case.h"

namespace stablekv {
namespace {

using testing::MlaShape;
using testing::Problem;

// ---- One element at a time

uint32_t BitsAt(const void* tensor, int64_t i, int64_t bytes) {
  uint32_t bits = 0;
  memcpy(&bits, static_cast<const uint8_t*>(tensor) + i * bytes, static_cast<size_t>(bytes));
  return bits;
}

void SetBitsAt(void* tensor, int64_t i, int64_t bytes, uint32_t bits) {
  memcpy(static_cast<uint8_t*>(tensor) + i * bytes, &bits, static_cast<size_t>(bytes));
}

float Value(ElementType element, uint32_t bits) {
  if (element == ElementType::kFloat32) return BitsToFloat(bits);
  return element == ElementType::kFloat16 ? Float16ToFloat(static_cast<uint16_t>(bits))
                                          : BFloat16ToFloat(static_cast<uint16_t>(bits));
}

uint32_t Nearest(ElementType element, float value) {
  if (std::isnan(value)) return element == ElementType::kFloat32 ? 0x7FFFFFFF : 0x7FFF;
  if (element == ElementType::kFloat32) return FloatToBits(value);
  return element == ElementType::kFloat16 ? FloatToFloat16(value) : FloatToBFloat16(value);
}

uint32_t Stored(ElementType element, CacheType cache, uint32_t bits, float scale) {
  if (cache == CacheType::kAuto) return bits;
  const float quotient = Value(element, bits) / scale;
  return cache == CacheType::kFp8E4M3 ? FloatToFp8E4M3(quotient) : FloatToFp8E5M2(quotient);
}

float Amax(ElementType element, const void* tensor, int64_t first, int64_t count) {
  float amax = 0;
  for (int64_t i = first; i < first + count; ++i) {
    const float magnitude = std::fabs(Value(element, BitsAt(tensor, i, SizeOf(element))));
    if (magnitude > amax) amax = magnitude;  // never so for a NaN
  }
  return amax;
}

// ---- What the headers say

void Expect(const ConcatAndCacheMlaParams& p) {
  const int64_t bytes = SizeOf(p.element);
  const int64_t cache_bytes = SizeOf(p.cache, p.element);
  for (int64_t i = 0; i < p.num_tokens; ++i) {
    if (p.slot_mapping[i] < 0) continue;
    const int64_t to = p.slot_mapping[i] / p.block_size * p.cache_block_stride +
                       p.slot_mapping[i] % p.block_size * p.cache_token_stride;
    for (int64_t d = 0; d < p.kv_lora_rank + p.pe_dim; ++d) {
      const bool nope = d < p.kv_lora_rank;
      const uint32_t bits = nope ? BitsAt(p.kv_c, i * p.kv_c_stride + d, bytes)
                                 : BitsAt(p.k_pe, i * p.k_pe_stride + d - p.kv_lora_rank, bytes);
      if (!p.ds_mla) {
        SetBitsAt(p.kv_cache, to + d, cache_bytes, Stored(p.element, p.cache, bits, *p.scale));
      } else if (nope) {
        const int64_t tile = d / 128;
        const float amax = Amax(p.element, p.kv_c, i * p.kv_c_stride + tile * 128, 128);
        const float scale = std::fmax(amax / 448.0f, 1.17549435e-38f);
        SetBitsAt(p.kv_cache, to + d, 1, Stored(p.element, CacheType::kFp8E4M3, bits, scale));
        memcpy(static_cast<uint8_t*>(p.kv_cache) + to + 512 + tile * 4, &scale, 4);
      } else {
        memcpy(static_cast<uint8_t*>(p.kv_cache) + to + 528 + (d - 512) * 2, &bits, 2);
      }
    }
  }
}

void RotateOne(const ConcatAndCacheMlaRopeFusedParams& p, int64_t position, void* row_of,
               int64_t row) {
  const ElementType e = p.element;
  const int64_t bytes = SizeOf(e);
  const int64_t half = p.pe_dim / 2;
  const auto rounded = [e](float value) { return Value(e, Nearest(e, value)); };
  for (int64_t j = 0; j < half; ++j) {
    const int64_t x_at = row + (p.is_neox ? j : 2 * j);
    const int64_t y_at = row + (p.is_neox ? j + half : 2 * j + 1);
    const float x = Value(e, BitsAt(row_of, x_at, bytes));
    const float y = Value(e, BitsAt(row_of, y_at, bytes));
    const float cos = Value(e, BitsAt(p.cos_sin_cache, position * p.cos_sin_stride + j, bytes));
    const float sin =
        Value(e, BitsAt(p.cos_sin_cache, position * p.cos_sin_stride + half + j, bytes));
    SetBitsAt(row_of, x_at, bytes, Nearest(e, rounded(x * cos) - rounded(y * sin)));
    SetBitsAt(row_of, y_at, bytes, Nearest(e, rounded(y * cos) + rounded(x * sin)));
  }
}

void Expect(const ConcatAndCacheMlaRopeFusedParams& p) {
  for (int64_t i = 0; i < p.num_tokens; ++i) {
    if (p.slot_mapping[i] < 0) continue;
    for (int64_t h = 0; h < p.num_heads; ++h) {
      RotateOne(p, p.positions[i], p.q_pe, i * p.q_pe_token_stride + h * p.q_pe_head_stride);
    }
    RotateOne(p, p.positions[i], p.k_pe, i * p.k_pe_stride);
  }
  ConcatAndCacheMlaParams write = {};
  write.kv_c = p.kv_c;
  write.k_pe = p.k_pe;
  write.kv_cache = p.kv_cache;
  write.slot_mapping = p.slot_mapping;
  write.scale = p.scale;
  write.num_tokens = p.num_tokens;
  write.block_size = p.block_size;
  write.kv_lora_rank = p.kv_lora_rank;
  write.pe_dim = p.pe_dim;
  write.kv_c_stride = p.kv_c_stride;
  write.k_pe_stride = p.k_pe_stride;
  write.cache_block_stride = p.cache_block_stride;
  write.cache_token_stride = p.cache_token_stride;
  write.element = p.element;
  write.cache = p.cache;
  Expect(write);
}

void Expect(const ConcatMlaQParams& p) {
  for (int64_t t = 0; t < p.num_tokens; ++t) {
    for (int64_t h = 0; h < p.num_heads; ++h) {
      const int64_t to = t * p.q_out_token_stride + h * p.q_out_head_stride;
      for (int64_t d = 0; d < p.nope_dim; ++d) {
        const int64_t from = t * p.ql_nope_token_stride + h * p.ql_nope_head_stride + d;
        SetBitsAt(p.q_out, to + d, 2, BitsAt(p.ql_nope, from, 2));
      }
      for (int64_t d = 0; d < p.rope_dim; ++d) {
        const int64_t from = t * p.q_pe_token_stride + h * p.q_pe_head_stride + d;
        SetBitsAt(p.q_out, to + p.nope_dim + d, 2, BitsAt(p.q_pe, from, 2));
      }
    }
  }
}

void Expect(const IndexerKQuantAndCacheParams& p) {
  const int64_t groups = p.head_dim / p.quant_block_size;
  for (int64_t i = 0; i < p.num_tokens; ++i) {
    if (p.slot_mapping[i] < 0) continue;
    const int64_t offset = p.slot_mapping[i] % p.block_size;
    auto* const block =
        static_cast<uint8_t*>(p.kv_cache) + p.slot_mapping[i] / p.block_size * p.cache_block_stride;
    for (int64_t g = 0; g < groups; ++g) {
      const int64_t first = i * p.k_stride + g * p.quant_block_size;
      float scale = std::fmax(Amax(p.element, p.k, first, p.quant_block_size), 1e-4f) / 448.0f;
      if (p.power_of_two) scale = std::exp2(std::ceil(std::log2(scale)));
      for (int64_t d = 0; d < p.quant_block_size; ++d) {
        block[offset * p.head_dim + g * p.quant_block_size + d] = static_cast<uint8_t>(
            Stored(p.element, CacheType::kFp8E4M3, BitsAt(p.k, first + d, 2), scale));
      }
      memcpy(block + p.block_size * p.head_dim + (offset * groups + g) * 4, &scale, 4);
    }
  }
}

// ---- Runs

template <typename Params, typename Kernel>
void Run(Problem<Params> problem, Kernel kernel) {
  Problem<Params> expected = problem;
  Expect(expected.OnHost());
  for (const ParallelFor parallel_for : {&SerialFor, &testing::BackwardsFor<>}) {
    Problem<Params> got = problem;
    CHECK_OK(kernel(got.OnHost(), parallel_for), problem.name);
    for (size_t t = 0; t < got.tensors.size(); ++t) {
      CHECK_THAT(got.tensors[t].bytes == expected.tensors[t].bytes,
                 "tensor " << t << ": " << problem.name);
    }
  }
}

// A bad value is refused before anything is written.
template <typename Params, typename Kernel>
void CheckRefused(Problem<Params> problem, Kernel kernel, const std::string& message) {
  const Problem<Params> before = problem;
  CHECK_ERROR(kernel(problem.OnHost(), &SerialFor), message);
  for (size_t t = 0; t < before.tensors.size(); ++t) {
    CHECK_THAT(problem.tensors[t].bytes == before.tensors[t].bytes, "tensor " << t);
  }
}

// Puts `value` into the tensor of int64 that `bind` belongs to.
template <typename Params>
Problem<Params> Put(Problem<Params> problem, const int64_t* Params::* tensor, int64_t i,
                    int64_t value) {
  const Params bound = problem.OnHost();
  const_cast<int64_t*>(bound.*tensor)[i] = value;
  return problem;
}

void TestRefusals() {
  const MlaShape shape;  // 5 blocks of 8
  for (const int64_t slot : {int64_t{40}, INT64_MAX}) {
    const std::string message = "slot_mapping[20] is " + std::to_string(slot) +
                                ", want less than 40, as the cache has 5 blocks of 8 slots";
    CheckRefused(
        Put(MakeConcatAndCacheMla(shape), &ConcatAndCacheMlaParams::slot_mapping, 20, slot),
        &ConcatAndCacheMlaCpu, message);
    CheckRefused(
        Put(MakeRopeFused(shape), &ConcatAndCacheMlaRopeFusedParams::slot_mapping, 20, slot),
        &ConcatAndCacheMlaRopeFusedCpu, message);
    CheckRefused(Put(MakeIndexer(shape), &IndexerKQuantAndCacheParams::slot_mapping, 20, slot),
                 &IndexerKQuantAndCacheCpu, message);
  }
  for (const int64_t position : {int64_t{-1}, int64_t{11}, INT64_MIN}) {
    CheckRefused(
        Put(MakeRopeFused(shape), &ConcatAndCacheMlaRopeFusedParams::positions, 20, position),
        &ConcatAndCacheMlaRopeFusedCpu,
        "positions[20] is " + std::to_string(position) +
            ", want 0 to less than 11, the rows of cos_sin_cache");
  }
}

}  // namespace
}  // namespace stablekv

int main() {
  using namespace stablekv;
  for (const MlaShape& shape : testing::ConcatAndCacheMlaShapes()) {
    Run(MakeConcatAndCacheMla(shape), &ConcatAndCacheMlaCpu);
  }
  for (const MlaShape& shape : testing::RopeFusedShapes()) {
    Run(MakeRopeFused(shape), &ConcatAndCacheMlaRopeFusedCpu);
  }
  for (const MlaShape& shape : testing::ConcatMlaQShapes()) {
    Run(MakeConcatMlaQ(shape), &ConcatMlaQCpu);
  }
  for (const MlaShape& shape : testing::IndexerShapes()) {
    Run(MakeIndexer(shape), &IndexerKQuantAndCacheCpu);
  }
  TestRefusals();
  return testing::Finish();
}
