#include "csrc/kernels/attention/attention_test_case.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>

#include "csrc/kernels/common/bfloat16.h"
#include "csrc/kernels/common/float16.h"
#include "csrc/kernels/common/fp8.h"
#include "csrc/kernels/common/testing.h"

namespace stablekv::testing {
namespace {

constexpr int64_t kGap = 24;        // elements between rows that a stride skips
constexpr uint8_t kNanByte = 0xFF;  // every format reads NaN where all bits are set
constexpr uint8_t kCanary = 0xA5;

double ReadElement(ElementType type, const uint8_t* from) {
  if (type == ElementType::kFloat32) {
    float value;
    memcpy(&value, from, sizeof(value));
    return value;
  }
  uint16_t code;
  memcpy(&code, from, sizeof(code));
  return type == ElementType::kFloat16 ? Float16ToFloat(code) : BFloat16ToFloat(code);
}

void WriteElement(ElementType type, float value, uint8_t* to) {
  if (type == ElementType::kFloat32) {
    memcpy(to, &value, sizeof(value));
    return;
  }
  const uint16_t code =
      type == ElementType::kFloat16 ? FloatToFloat16(value) : FloatToBFloat16(value);
  memcpy(to, &code, sizeof(code));
}

size_t Bytes(int64_t count) { return static_cast<size_t>(count); }

}  // namespace

std::ostream& operator<<(std::ostream& stream, const CaseShape& shape) {
  stream << "element " << static_cast<int>(shape.element) << " cache "
         << static_cast<int>(shape.cache) << " head_size " << shape.head_size << " block_size "
         << shape.block_size << " kv_heads " << shape.num_kv_heads << " group " << shape.group
         << " alibi " << shape.alibi << " head gaps " << shape.head_gaps << " sparse "
         << shape.sparse.vert_stride << '/' << shape.sparse.head_sliding_step << " lens";
  for (const int32_t length : shape.seq_lens) stream << ' ' << length;
  return stream;
}

AttentionCase::AttentionCase(const CaseShape& shape) : shape_(shape), seq_lens_(shape.seq_lens) {
  std::mt19937 random(shape.seed);
  PagedAttentionParams& p = params_;
  p.element = shape.element;
  p.cache = shape.cache;
  p.head_size = shape.head_size;
  p.block_size = shape.block_size;
  p.num_kv_heads = shape.num_kv_heads;
  p.num_heads = shape.num_kv_heads * shape.group;
  p.num_seqs = static_cast<int64_t>(seq_lens_.size());
  p.max_seq_len = *std::max_element(seq_lens_.begin(), seq_lens_.end()) + 700;
  p.max_blocks_per_seq = (p.max_seq_len + p.block_size - 1) / p.block_size;
  p.block_sparse = shape.sparse;
  p.scale = 1.3f / std::sqrt(static_cast<float>(p.head_size));
  p.k_scale = &k_scale_;
  p.v_scale = &v_scale_;

  // Blocks are given out in random order; the cache has a few more than are used.
  std::vector<int32_t> blocks;
  for (const int32_t length : seq_lens_) {
    blocks.insert(blocks.end(), Bytes((length + p.block_size - 1) / p.block_size), 0);
  }
  p.num_blocks = static_cast<int64_t>(blocks.size()) + 3;
  std::iota(blocks.begin(), blocks.end(), 1);
  std::shuffle(blocks.begin(), blocks.end(), random);
  p.block_tables_stride = p.max_blocks_per_seq + 2;
  block_tables_.assign(Bytes(p.num_seqs * p.block_tables_stride),
                       std::numeric_limits<int32_t>::min());
  size_t next = 0;
  for (int64_t s = 0; s < p.num_seqs; ++s) {
    const int64_t count = (seq_lens_[Bytes(s)] + p.block_size - 1) / p.block_size;
    for (int64_t i = 0; i < count; ++i) {
      block_tables_[Bytes(s * p.block_tables_stride + i)] = blocks[next++];
    }
  }
  p.block_tables = block_tables_.data();
  p.seq_lens = seq_lens_.data();

  p.query_head_stride = p.head_size;  // as in a packed qkv
  p.query_seq_stride = p.num_heads * p.head_size + kGap;
  p.out_head_stride = p.head_size + kGap;
  p.out_seq_stride = p.num_heads * p.out_head_stride + kGap;
  p.key_cache_head_stride = p.head_size * p.block_size + (shape.head_gaps ? kGap : 0);
  p.key_cache_block_stride = p.num_kv_heads * p.key_cache_head_stride + kGap;
  p.value_cache_head_stride = p.head_size * p.block_size;
  p.value_cache_block_stride = p.num_kv_heads * p.value_cache_head_stride + 2 * kGap;

  const int64_t element = SizeOf(shape.element);
  const int64_t cache = SizeOf(shape.cache, shape.element);
  // One element in front, so that nothing is aligned to more.
  query_.assign(Bytes((p.num_seqs * p.query_seq_stride + 1) * element), kNanByte);
  key_cache_.assign(Bytes((p.num_blocks * p.key_cache_block_stride + 1) * cache), kNanByte);
  value_cache_.assign(Bytes((p.num_blocks * p.value_cache_block_stride + 1) * cache), kNanByte);
  ClearOut();
  p.query = query_.data() + element;
  p.key_cache = key_cache_.data() + cache;
  p.value_cache = value_cache_.data() + cache;

  std::uniform_real_distribution<float> uniform(-1.5f, 1.5f);
  for (int64_t s = 0; s < p.num_seqs; ++s) {
    for (int64_t i = 0; i < p.num_heads * p.head_size; ++i) {
      WriteElement(shape.element, uniform(random),
                   query_.data() + (1 + s * p.query_seq_stride + i) * element);
    }
  }
  if (shape.alibi) {
    for (int64_t h = 0; h < p.num_heads; ++h) {  // zero, positive and negative slopes
      alibi_slopes_.push_back(h % 3 == 0 ? 0.0f : h % 3 == 1 ? 0.05f : -0.002f);
    }
    p.alibi_slopes = alibi_slopes_.data();
  }
  FillCaches();
}

void AttentionCase::ClearOut() {
  out_.assign(Bytes((params_.num_seqs * params_.out_seq_stride + 1) * SizeOf(shape_.element)),
              kCanary);
  params_.out = out_.data() + SizeOf(shape_.element);
}

int64_t AttentionCase::KeyOffset(int64_t block, int64_t kv_head, int64_t d, int64_t token) const {
  const int64_t x = 16 / SizeOf(shape_.cache, shape_.element);
  return block * params_.key_cache_block_stride + kv_head * params_.key_cache_head_stride +
         (d / x * params_.block_size + token) * x + d % x;
}

int64_t AttentionCase::ValueOffset(int64_t block, int64_t kv_head, int64_t d, int64_t token) const {
  return block * params_.value_cache_block_stride + kv_head * params_.value_cache_head_stride +
         d * params_.block_size + token;
}

bool AttentionCase::Attends(int64_t seq, int64_t head, int64_t token) const {
  const BlockSparseParams& sparse = shape_.sparse;
  if (sparse.vert_stride <= 1) return true;
  const int64_t first = token / params_.block_size * params_.block_size;
  const int64_t key_block = first / sparse.block_size;
  const int64_t query_block = (seq_lens_[Bytes(seq)] - 1) / sparse.block_size;
  int64_t offset = 0;
  if (sparse.head_sliding_step >= 0) {
    offset = (sparse.tp_rank * params_.num_heads + head) * sparse.head_sliding_step + 1;
  } else {
    offset =
        (sparse.tp_rank * params_.num_kv_heads + head / shape_.group) * -sparse.head_sliding_step +
        1;
  }
  return (key_block + offset) % sparse.vert_stride == 0 ||
         key_block > query_block - sparse.local_blocks;
}

void AttentionCase::FillCaches() {
  std::mt19937 random(shape_.seed + 1);
  std::uniform_real_distribution<float> uniform(-2.0f, 2.0f);
  const int64_t bytes = SizeOf(shape_.cache, shape_.element);
  const auto write = [&](std::vector<uint8_t>& cache, int64_t offset) {
    const float value = uniform(random);
    uint8_t* const to = cache.data() + (1 + offset) * bytes;
    if (shape_.cache == CacheType::kAuto) {
      WriteElement(shape_.element, value, to);
    } else {
      *to = shape_.cache == CacheType::kFp8E4M3 ? FloatToFp8E4M3(value) : FloatToFp8E5M2(value);
    }
  };
  for (int64_t s = 0; s < params_.num_seqs; ++s) {
    for (int64_t t = 0; t < seq_lens_[Bytes(s)]; ++t) {
      const int64_t block =
          block_tables_[Bytes(s * params_.block_tables_stride + t / params_.block_size)];
      for (int64_t kv_head = 0; kv_head < params_.num_kv_heads; ++kv_head) {
        bool used = false;
        for (int64_t g = 0; g < shape_.group; ++g) {
          used = used || Attends(s, kv_head * shape_.group + g, t);
        }
        if (!used) continue;
        for (int64_t d = 0; d < params_.head_size; ++d) {
          write(key_cache_, KeyOffset(block, kv_head, d, t % params_.block_size));
          write(value_cache_, ValueOffset(block, kv_head, d, t % params_.block_size));
        }
      }
    }
  }
}

void AttentionCase::PoisonBlock(int64_t block) {
  const int64_t bytes = SizeOf(shape_.cache, shape_.element);
  const auto poison = [&](std::vector<uint8_t>& cache, int64_t stride) {
    std::fill_n(cache.begin() + (1 + block * stride) * bytes, stride * bytes, kNanByte);
  };
  poison(key_cache_, params_.key_cache_block_stride);
  poison(value_cache_, params_.value_cache_block_stride);
}

double AttentionCase::ReadCache(const std::vector<uint8_t>& cache, int64_t offset) const {
  const uint8_t* from = cache.data() + (1 + offset) * SizeOf(shape_.cache, shape_.element);
  if (shape_.cache == CacheType::kFp8E4M3) return Fp8E4M3ToFloat(*from);
  if (shape_.cache == CacheType::kFp8E5M2) return Fp8E5M2ToFloat(*from);
  return ReadElement(shape_.element, from);
}

AttentionCase::Row AttentionCase::Reference(int64_t seq, int64_t head) const {
  const PagedAttentionParams& p = params_;
  const bool fp8 = shape_.cache != CacheType::kAuto;
  const int64_t kv_head = head / shape_.group;
  const int64_t length = seq_lens_[Bytes(seq)];
  const auto block_of = [&](int64_t t) -> int64_t {
    return block_tables_[Bytes(seq * p.block_tables_stride + t / p.block_size)];
  };
  std::vector<double> logits(Bytes(length), -INFINITY);
  double max = -INFINITY;
  bool any = false;
  for (int64_t t = 0; t < length; ++t) {
    if (!Attends(seq, head, t)) continue;
    any = true;
    double dot = 0;
    for (int64_t d = 0; d < p.head_size; ++d) {
      const double q = ReadElement(
          shape_.element, query_.data() + (1 + seq * p.query_seq_stride + head * p.head_size + d) *
                                              SizeOf(shape_.element));
      dot += q * ReadCache(key_cache_, KeyOffset(block_of(t), kv_head, d, t % p.block_size)) *
             (fp8 ? k_scale_ : 1.0);
    }
    double logit = p.scale * dot;
    if (p.alibi_slopes != nullptr) {
      logit += p.alibi_slopes[head] * static_cast<double>(t - length + 1);
    }
    logits[Bytes(t)] = logit;
    max = std::max(max, logit);
  }
  Row row;
  row.out.assign(Bytes(p.head_size), 0);
  row.magnitude.assign(Bytes(p.head_size), 0);
  if (!any) return row;
  double sum = 0;
  for (int64_t t = 0; t < length; ++t) {
    if (!Attends(seq, head, t)) continue;
    const double weight = std::exp(logits[Bytes(t)] - max);
    sum += weight;
    for (int64_t d = 0; d < p.head_size; ++d) {
      const double v =
          ReadCache(value_cache_, ValueOffset(block_of(t), kv_head, d, t % p.block_size)) *
          (fp8 ? v_scale_ : 1.0);
      row.out[Bytes(d)] += weight * v;
      row.magnitude[Bytes(d)] += weight * std::fabs(v);
    }
  }
  for (double& value : row.out) value /= sum;
  for (double& value : row.magnitude) value /= sum;
  return row;
}

void AttentionCase::CheckOut(const char* what) const {
  const int64_t bytes = SizeOf(shape_.element);
  std::vector<uint8_t> rest = out_;  // with the rows' bytes taken out below
  const double half_unit = shape_.element == ElementType::kFloat32   ? 0
                           : shape_.element == ElementType::kFloat16 ? std::ldexp(1, -11)
                                                                     : std::ldexp(1, -8);
  for (int64_t s = 0; s < params_.num_seqs; ++s) {
    for (int64_t h = 0; h < params_.num_heads; ++h) {
      const Row want = Reference(s, h);
      const int64_t start = 1 + s * params_.out_seq_stride + h * params_.out_head_stride;
      for (int64_t d = 0; d < params_.head_size; ++d) {
        const double got = ReadElement(shape_.element, out_.data() + (start + d) * bytes);
        const double wanted = want.out[Bytes(d)];
        const double bound = 1e-5 * want.magnitude[Bytes(d)] + half_unit * std::fabs(wanted) +
                             (shape_.element == ElementType::kFloat16 ? 6e-8 : 0);
        const bool ok = std::isnan(wanted) ? std::isnan(got) : std::fabs(got - wanted) <= bound;
        CHECK_THAT(ok, what << " seq " << s << " head " << h << " d " << d << " is " << got
                            << ", want " << wanted << " +- " << bound << ": " << shape_);
      }
      std::fill_n(rest.begin() + start * bytes, params_.head_size * bytes, kCanary);
    }
  }
  const bool intact =
      std::all_of(rest.begin(), rest.end(), [](uint8_t byte) { return byte == kCanary; });
  CHECK_THAT(intact, what << " wrote between the rows of the output: " << shape_);
}

}  // namespace stablekv::testing
