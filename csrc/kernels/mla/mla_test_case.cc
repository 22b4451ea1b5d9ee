#include "csrc/kernels/mla/mla_test_case.h"

#include <cstring>
#include <utility>

#include "csrc/kernels/mla/ds_mla_layout.h"

namespace stablekv::testing {
namespace {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Next() {  // splitmix64
    state_ += 0x9E3779B97F4A7C15;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
  }
  int64_t Below(int64_t bound) {
    return static_cast<int64_t>(Next() % static_cast<uint64_t>(bound));
  }

 private:
  uint64_t state_;
};

// Where the fields of an element are.
struct Fields {
  explicit Fields(ElementType element)
      : fraction_bits(element == ElementType::kFloat32   ? 23
                      : element == ElementType::kFloat16 ? 10
                                                         : 7),
        exponent_bits(element == ElementType::kFloat16 ? 5 : 8) {}
  int fraction_bits;
  int exponent_bits;

  uint32_t Bits(uint64_t sign, uint64_t exponent, uint64_t fraction) const {
    return static_cast<uint32_t>((sign << (exponent_bits + fraction_bits)) |
                                 (exponent << fraction_bits) |
                                 (fraction & ((1u << fraction_bits) - 1)));
  }
};

enum class Kind { kOrdinary, kTiny, kSpecial, kZero, kNan, kCount };

uint32_t MakeElement(const Fields& fields, Kind kind, Random* random) {
  const uint64_t sign = random->Next() & 1;
  const uint64_t fraction = random->Next() >> 20;
  const uint64_t largest = (uint64_t{1} << fields.exponent_bits) - 1;  // of Inf and NaN
  const uint32_t ordinary =
      fields.Bits(sign, (largest >> 1) + static_cast<uint64_t>(random->Below(12)) - 6, fraction);
  switch (kind) {
    case Kind::kTiny:
      return fields.Bits(sign, random->Next() & 1, fraction);
    case Kind::kZero:
      return fields.Bits(sign, 0, 0);
    case Kind::kNan:
      return fields.Bits(sign, largest, fraction | 1);
    case Kind::kSpecial:
      switch (random->Below(12)) {
        case 0:
          return fields.Bits(sign, largest, fraction | 1);
        case 1:
          return fields.Bits(sign, largest, 0);
        case 2:
          return fields.Bits(sign, largest - 1, ~uint64_t{0});
        case 3:
          return fields.Bits(sign, 0, 0);
        case 4:
          return fields.Bits(sign, 0, 1);
        default:
          return ordinary;
      }
    default:
      return ordinary;
  }
}

// `count` elements from byte `at` on; pieces of 64 are of one kind.
std::vector<uint8_t> Elements(ElementType element, int64_t count, size_t at, Random* random) {
  const auto bytes = static_cast<size_t>(SizeOf(element));
  const Fields fields(element);
  std::vector<uint8_t> memory(at + static_cast<size_t>(count) * bytes, 0xEE);
  Kind kind = Kind::kOrdinary;
  for (int64_t i = 0; i < count; ++i) {
    if (i % 64 == 0) {
      const int64_t drawn = random->Below(2 * static_cast<int64_t>(Kind::kCount));
      kind =
          drawn < static_cast<int64_t>(Kind::kCount) ? static_cast<Kind>(drawn) : Kind::kOrdinary;
    }
    const uint32_t bits = MakeElement(fields, kind, random);
    memcpy(memory.data() + at + static_cast<size_t>(i) * bytes, &bits, bytes);
  }
  return memory;
}

std::vector<uint8_t> Noise(int64_t size, Random* random) {
  std::vector<uint8_t> memory(static_cast<size_t>(size));
  for (uint8_t& byte : memory) byte = static_cast<uint8_t>(random->Next());
  return memory;
}

template <typename T>
std::vector<uint8_t> BytesOf(const std::vector<T>& values) {
  std::vector<uint8_t> bytes(values.size() * sizeof(T));
  if (!bytes.empty()) memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

// Distinct slots in no order; every fifth token is padding.
std::vector<int64_t> Slots(const MlaShape& shape, int64_t num_slots, Random* random) {
  std::vector<int64_t> free(static_cast<size_t>(num_slots));
  for (size_t i = 0; i < free.size(); ++i) free[i] = static_cast<int64_t>(i);
  for (size_t i = free.size(); i > 1; --i) {
    std::swap(free[i - 1], free[static_cast<size_t>(random->Below(static_cast<int64_t>(i)))]);
  }
  std::vector<int64_t> slots(free.begin(), free.begin() + shape.num_tokens);
  for (size_t i = 0; i < slots.size(); ++i) {
    if (i % 5 == 3) slots[i] = i % 2 == 0 ? -1 : INT64_MIN;
    if (shape.past_the_end && i % 7 == 2) slots[i] = i % 2 == 0 ? num_slots : INT64_MAX;
  }
  return slots;
}

int64_t NumBlocks(const MlaShape& shape) { return shape.num_tokens / shape.block_size + 3; }

size_t ShiftBytes(const MlaShape& shape, int64_t element_bytes) {
  return static_cast<size_t>(shape.shift * element_bytes);
}

std::string NameOf(const MlaShape& s) {
  const char* elements[] = {"float32", "float16", "bfloat16"};
  const char* caches[] = {"auto", "e4m3", "e5m2"};
  return std::string(elements[static_cast<int>(s.element)]) + " " +
         (s.ds_mla ? "ds_mla" : caches[static_cast<int>(s.cache)]) + " tokens " +
         std::to_string(s.num_tokens) + " heads " + std::to_string(s.num_heads) + " rank " +
         std::to_string(s.kv_lora_rank) + " pe " + std::to_string(s.pe_dim) + " group " +
         std::to_string(s.quant_block_size) + " block " + std::to_string(s.block_size) + " gap " +
         std::to_string(s.gap) + " shift " + std::to_string(s.shift) +
         (s.is_neox ? " neox" : " pairs") + (s.power_of_two ? " ue8m0" : "");
}

// The fields that both writers of the cache have.
template <typename Params>
void FillWriter(const MlaShape& shape, int64_t cache_row, Problem<Params>* problem) {
  Params& p = problem->params;
  problem->name = NameOf(shape);
  p.num_tokens = shape.num_tokens;
  p.num_blocks = NumBlocks(shape);
  p.block_size = shape.block_size;
  p.kv_lora_rank = shape.kv_lora_rank;
  p.pe_dim = shape.pe_dim;
  p.kv_c_stride = shape.kv_lora_rank + shape.gap;
  p.k_pe_stride = shape.pe_dim + 2 * shape.gap;
  p.cache_token_stride = cache_row + shape.gap;
  p.cache_block_stride = shape.block_size * p.cache_token_stride + 3 * shape.gap;
  p.element = shape.element;
  p.cache = shape.cache;
}

template <typename Params>
void AddWriterTensors(const MlaShape& shape, int64_t cache_bytes, Random* random,
                      Problem<Params>* problem) {
  const Params& p = problem->params;
  const size_t at = ShiftBytes(shape, SizeOf(shape.element));
  problem->tensors.push_back({Elements(shape.element, p.num_tokens * p.kv_c_stride, at, random), at,
                              [](Params* params, void* data) { params->kv_c = data; }});
  problem->tensors.push_back({Elements(shape.element, p.num_tokens * p.k_pe_stride, at, random), at,
                              [](Params* params, void* data) { params->k_pe = data; }});
  const size_t cache_at = ShiftBytes(shape, cache_bytes);
  problem->tensors.push_back(
      {Noise(static_cast<int64_t>(cache_at) + p.num_blocks * p.cache_block_stride * cache_bytes,
             random),
       cache_at, [](Params* params, void* data) { params->kv_cache = data; }});
  problem->tensors.push_back(
      {BytesOf(Slots(shape, p.num_blocks * p.block_size, random)), 0,
       [](Params* params, void* data) { params->slot_mapping = static_cast<int64_t*>(data); }});
  problem->tensors.push_back(
      {BytesOf(std::vector<float>{0.0371f}), 0,
       [](Params* params, void* data) { params->scale = static_cast<float*>(data); }});
}

MlaShape With(MlaShape shape, ElementType element, CacheType cache) {
  shape.element = element;
  shape.cache = cache;
  return shape;
}

constexpr ElementType kElements[] = {ElementType::kFloat32, ElementType::kFloat16,
                                     ElementType::kBFloat16};
constexpr ElementType kHalves[] = {ElementType::kFloat16, ElementType::kBFloat16};
constexpr CacheType kCaches[] = {CacheType::kAuto, CacheType::kFp8E4M3, CacheType::kFp8E5M2};

}  // namespace

Problem<ConcatAndCacheMlaParams> MakeConcatAndCacheMla(const MlaShape& shape) {
  Random random(1);
  Problem<ConcatAndCacheMlaParams> problem;
  FillWriter(shape, shape.ds_mla ? DsMlaLayout::kTokenBytes : shape.kv_lora_rank + shape.pe_dim,
             &problem);
  problem.params.ds_mla = shape.ds_mla;
  AddWriterTensors(shape, SizeOf(shape.cache, shape.element), &random, &problem);
  return problem;
}

Problem<ConcatAndCacheMlaRopeFusedParams> MakeRopeFused(const MlaShape& shape) {
  using Params = ConcatAndCacheMlaRopeFusedParams;
  Random random(2);
  Problem<Params> problem;
  FillWriter(shape, shape.kv_lora_rank + shape.pe_dim, &problem);
  Params& p = problem.params;
  p.num_heads = shape.num_heads;
  p.num_positions = 11;
  p.q_pe_head_stride = shape.pe_dim + shape.gap;
  p.q_pe_token_stride = shape.num_heads * p.q_pe_head_stride + shape.gap;
  p.cos_sin_stride = shape.pe_dim + shape.gap;
  p.is_neox = shape.is_neox;
  AddWriterTensors(shape, SizeOf(shape.cache, shape.element), &random, &problem);
  const size_t at = ShiftBytes(shape, SizeOf(shape.element));
  problem.tensors.push_back(
      {Elements(shape.element, p.num_tokens * p.q_pe_token_stride, at, &random), at,
       [](Params* params, void* data) { params->q_pe = data; }});
  problem.tensors.push_back(
      {Elements(shape.element, p.num_positions * p.cos_sin_stride, at, &random), at,
       [](Params* params, void* data) { params->cos_sin_cache = data; }});
  std::vector<int64_t> positions(static_cast<size_t>(shape.num_tokens));
  for (size_t i = 0; i < positions.size(); ++i) {
    positions[i] = random.Below(p.num_positions);
    if (i % 5 == 3) positions[i] = i % 2 == 0 ? -7 : INT64_MAX;  // of padding: not looked at
    if (shape.past_the_end && i % 7 == 4) positions[i] = i % 2 == 0 ? p.num_positions : -1;
  }
  problem.tensors.push_back({BytesOf(positions), 0, [](Params* params, void* data) {
                               params->positions = static_cast<int64_t*>(data);
                             }});
  return problem;
}

Problem<ConcatMlaQParams> MakeConcatMlaQ(const MlaShape& shape) {
  using Params = ConcatMlaQParams;
  Random random(3);
  Problem<Params> problem;
  problem.name = NameOf(shape);
  Params& p = problem.params;
  p.num_tokens = shape.num_tokens;
  p.num_heads = shape.num_heads;
  p.nope_dim = shape.kv_lora_rank;
  p.rope_dim = shape.pe_dim;
  // Heads outermost, as a batched matrix product leaves them.
  p.ql_nope_token_stride = p.nope_dim + shape.gap;
  p.ql_nope_head_stride = p.num_tokens * p.ql_nope_token_stride;
  p.q_pe_head_stride = p.rope_dim + 2 * shape.gap;
  p.q_pe_token_stride = p.num_heads * p.q_pe_head_stride;
  p.q_out_head_stride = p.nope_dim + p.rope_dim + shape.gap;
  p.q_out_token_stride = p.num_heads * p.q_out_head_stride + shape.gap;
  const size_t at = ShiftBytes(shape, 2);
  problem.tensors.push_back(
      {Elements(shape.element, p.num_heads * p.ql_nope_head_stride, at, &random), at,
       [](Params* params, void* data) { params->ql_nope = data; }});
  problem.tensors.push_back(
      {Elements(shape.element, p.num_tokens * p.q_pe_token_stride, at, &random), at,
       [](Params* params, void* data) { params->q_pe = data; }});
  problem.tensors.push_back(
      {Noise(static_cast<int64_t>(at) + p.num_tokens * p.q_out_token_stride * 2, &random), at,
       [](Params* params, void* data) { params->q_out = data; }});
  return problem;
}

Problem<IndexerKQuantAndCacheParams> MakeIndexer(const MlaShape& shape) {
  using Params = IndexerKQuantAndCacheParams;
  Random random(4);
  Problem<Params> problem;
  problem.name = NameOf(shape);
  Params& p = problem.params;
  p.num_tokens = shape.num_tokens;
  p.num_blocks = NumBlocks(shape);
  p.block_size = shape.block_size;
  p.head_dim = shape.kv_lora_rank;
  p.quant_block_size = shape.quant_block_size;
  p.k_stride = p.head_dim + shape.gap;
  p.cache_block_stride =
      p.block_size * (p.head_dim + 4 * p.head_dim / p.quant_block_size) + shape.gap;
  p.element = shape.element;
  p.power_of_two = shape.power_of_two;
  const size_t at = ShiftBytes(shape, 2);
  problem.tensors.push_back({Elements(shape.element, p.num_tokens * p.k_stride, at, &random), at,
                             [](Params* params, void* data) { params->k = data; }});
  const size_t cache_at = ShiftBytes(shape, 1);
  problem.tensors.push_back(
      {Noise(static_cast<int64_t>(cache_at) + p.num_blocks * p.cache_block_stride, &random),
       cache_at, [](Params* params, void* data) { params->kv_cache = data; }});
  problem.tensors.push_back(
      {BytesOf(Slots(shape, p.num_blocks * p.block_size, &random)), 0,
       [](Params* params, void* data) { params->slot_mapping = static_cast<int64_t*>(data); }});
  return problem;
}

std::vector<MlaShape> ConcatAndCacheMlaShapes() {
  std::vector<MlaShape> shapes;
  for (const ElementType element : kElements) {
    for (const CacheType cache : kCaches) {
      MlaShape shape = With({}, element, cache);
      shapes.push_back(shape);
      shape.gap = 16;  // strided, still aligned
      shapes.push_back(shape);
      shape.gap = 3;
      shapes.push_back(shape);
      shape.gap = 0;
      shape.shift = 1;
      shapes.push_back(shape);
      shape = With({}, element, cache);
      shape.kv_lora_rank = 35;
      shape.pe_dim = 7;
      shape.block_size = 5;
      shapes.push_back(shape);
      shape.kv_lora_rank = 512;
      shape.pe_dim = 64;
      shape.num_tokens = 300;
      shape.block_size = 64;
      shapes.push_back(shape);
      shape.num_tokens = 0;
      shapes.push_back(shape);
    }
  }
  for (const ElementType element : kHalves) {
    MlaShape shape = With({}, element, CacheType::kFp8E4M3);
    shape.ds_mla = true;
    shape.kv_lora_rank = 512;
    shape.pe_dim = 64;
    shape.num_tokens = 120;
    for (const int64_t gap : {0, 16, 2, 1}) {
      for (const int64_t shift : {0, 1}) {
        shape.gap = gap;
        shape.shift = shift;
        shapes.push_back(shape);
      }
    }
  }
  return shapes;
}

std::vector<MlaShape> RopeFusedShapes() {
  std::vector<MlaShape> shapes;
  for (const ElementType element : kElements) {
    for (const CacheType cache : kCaches) {
      for (const bool is_neox : {false, true}) {
        MlaShape shape = With({}, element, cache);
        shape.is_neox = is_neox;
        shapes.push_back(shape);
        shape.gap = 16;
        shapes.push_back(shape);
        shape.gap = 1;
        shapes.push_back(shape);
        shape.gap = 0;
        shape.shift = 1;
        shapes.push_back(shape);
        shape.shift = 0;
        shape.pe_dim = 6;
        shape.kv_lora_rank = 11;
        shapes.push_back(shape);
        shape.num_heads = 0;
        shapes.push_back(shape);
        shape.num_heads = 128;
        shape.pe_dim = 64;
        shape.kv_lora_rank = 512;
        shapes.push_back(shape);
        shape.num_heads = 2;
        shape.pe_dim = 600;  // more pieces than a warp has lanes
        shapes.push_back(shape);
      }
    }
  }
  return shapes;
}

std::vector<MlaShape> ConcatMlaQShapes() {
  std::vector<MlaShape> shapes;
  for (const int64_t nope_dim : {512, 1024, 35}) {
    for (const int64_t gap : {0, 8, 3}) {
      for (const int64_t shift : {0, 1}) {
        MlaShape shape;
        shape.kv_lora_rank = nope_dim;
        shape.pe_dim = 64;
        shape.gap = gap;
        shape.shift = shift;
        shapes.push_back(shape);
      }
    }
  }
  MlaShape none;
  none.num_tokens = 0;
  shapes.push_back(none);
  return shapes;
}

std::vector<MlaShape> IndexerShapes() {
  std::vector<MlaShape> shapes;
  const struct {
    int64_t head_dim;
    int64_t group;
  } sizes[] = {{128, 128}, {512, 128}, {512, 64}, {512, 256}, {96, 32}, {15, 5}, {9, 1}, {64, 4}};
  for (const ElementType element : kHalves) {
    for (const bool power_of_two : {false, true}) {
      for (const auto& size : sizes) {
        for (const int64_t shift : {0, 1}) {
          MlaShape shape = With({}, element, CacheType::kFp8E4M3);
          shape.power_of_two = power_of_two;
          shape.kv_lora_rank = size.head_dim;
          shape.quant_block_size = size.group;
          shape.shift = shift;
          shape.num_tokens = 60;
          shapes.push_back(shape);
          shape.gap = 4;
          shapes.push_back(shape);
          shape.gap = 5;
          shape.block_size = 3;
          shapes.push_back(shape);
        }
      }
    }
  }
  return shapes;
}

}  // namespace stablekv::testing
