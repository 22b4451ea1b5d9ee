// One random input of paged attention for the CUDA test: caches full of NaN but for the tokens,
// and the answer by a naive loop in float64.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_DECODE_CASE_H_
#define STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_DECODE_CASE_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "csrc/kernels/attention/paged_attention.h"
#include "csrc/kernels/common/cuda/test_support.h"

namespace stablekv::testing {

struct DecodeCase {
  ElementType element = ElementType::kFloat32;
  CacheType cache = CacheType::kAuto;
  int64_t head_size = 64;
  int64_t block_size = 16;
  int64_t num_kv_heads = 2;
  int64_t group = 1;  // query heads of a kv head
  std::vector<int32_t> lengths = {17};
  int64_t max_seq_len = 0;  // 0: the largest length
  bool alibi = false;
  BlockSparseParams sparse = {};
  int64_t misalign = 0;     // elements that tensors are off alignment
  int64_t padding = 0;      // elements between the rows of each tensor
  bool bad_blocks = false;  // some table entries name no block
  float logit_spread = 1.0f;

  std::string Describe() const {
    std::string text = std::string(Name(element)) + "/" + Name(cache) + " D" +
                       std::to_string(head_size) + " bs" + std::to_string(block_size) + " kv" +
                       std::to_string(num_kv_heads) + " group" + std::to_string(group) + " max" +
                       std::to_string(max_seq_len) + " lens";
    for (size_t s = 0; s < std::min<size_t>(lengths.size(), 10); ++s) {
      text += " " + std::to_string(lengths[s]);
    }
    if (lengths.size() > 10) text += " .. (" + std::to_string(lengths.size()) + ")";
    if (alibi) text += " alibi";
    if (sparse.active()) text += " sparse step " + std::to_string(sparse.head_sliding_step);
    if (misalign != 0) text += " off" + std::to_string(misalign);
    if (padding != 0) text += " pad" + std::to_string(padding);
    if (bad_blocks) text += " bad blocks";
    return text;
  }
};

// Host tensors of a case. `params` holds sizes and strides; its pointers are the caller's to set.
class DecodeInput {
 public:
  explicit DecodeInput(const DecodeCase& c) : case_(c), random_(c.head_size * 7 + c.group) {
    SetSizes();
    FillTables();
    FillCaches();
    keys_ = Decoded(key_cache);
    values_ = Decoded(value_cache);
    query.resize(params.num_seqs * params.query_seq_stride * ElementBytes());
    for (int64_t i = 0; i < params.num_seqs * params.query_seq_stride; ++i) {
      SetBits(&query, i, ElementBytes(),
              EncodeElement(c.element, c.logit_spread * random_.Normal()));
    }
    for (int64_t h = 0; h < params.num_heads; ++h) {
      // Some heads without a bias.
      slopes.push_back(h % 3 == 2 ? 0.0f : std::pow(2.0f, -static_cast<float>(h % 8) - 2));
    }
  }

  // The answer for a head of a sequence; `magnitude` is the same sum over absolute values.
  std::vector<double> Answer(int64_t s, int64_t h, std::vector<double>* magnitude) const {
    const int64_t length =
        std::max<int64_t>(0, std::min<int64_t>(case_.lengths[s], params.max_seq_len));
    const int64_t g = h / case_.group;
    std::vector<double> logits(length, -INFINITY);
    double max = -INFINITY;
    for (int64_t t = 0; t < length; ++t) {
      if (!Attends(s, h, t, length)) continue;
      double dot = 0;
      for (int64_t d = 0; d < params.head_size; ++d) {
        dot += Query(s, h, d) * keys_[KeyIndex(s, g, d, t)] * KeyScale();
      }
      logits[t] = params.scale * dot + (case_.alibi ? slopes[h] * (t - length + 1.0) : 0.0);
      max = std::max(max, logits[t]);
    }
    std::vector<double> out(params.head_size, 0.0);
    magnitude->assign(params.head_size, 0.0);
    double sum = 0;
    for (int64_t t = 0; t < length; ++t) {
      if (logits[t] == -INFINITY) continue;
      const double weight = std::exp(logits[t] - max);
      sum += weight;
      for (int64_t d = 0; d < params.head_size; ++d) {
        const double value = values_[ValueIndex(s, g, d, t)] * ValueScale();
        out[d] += weight * value;
        (*magnitude)[d] += weight * std::fabs(value);
      }
    }
    for (int64_t d = 0; d < params.head_size && sum > 0; ++d) {
      out[d] /= sum;
      (*magnitude)[d] /= sum;
    }
    return out;
  }

  // All answers, [num_seqs, num_heads], computed on all cores.
  void AllAnswers(std::vector<std::vector<double>>* out,
                  std::vector<std::vector<double>>* magnitude) const {
    const int64_t count = params.num_seqs * params.num_heads;
    out->resize(count);
    magnitude->resize(count);
    const int64_t num_threads = std::max(1u, std::thread::hardware_concurrency());
    std::vector<std::thread> threads;
    for (int64_t first = 0; first < num_threads; ++first) {
      threads.emplace_back([=] {
        for (int64_t i = first; i < count; i += num_threads) {
          (*out)[i] = Answer(i / params.num_heads, i % params.num_heads, &(*magnitude)[i]);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }

  int64_t ElementBytes() const { return SizeOf(case_.element); }
  int64_t CacheBytes() const { return SizeOf(case_.cache, case_.element); }

  PagedAttentionParams params = {};
  std::vector<uint8_t> query;
  std::vector<uint8_t> key_cache;
  std::vector<uint8_t> value_cache;
  std::vector<int32_t> tables;
  std::vector<float> slopes;
  std::vector<float> scales = {0.5f, 0.25f};  // of keys, of values

 private:
  void SetSizes() {
    const DecodeCase& c = case_;
    PagedAttentionParams& p = params;
    p.num_seqs = static_cast<int64_t>(c.lengths.size());
    p.num_kv_heads = c.num_kv_heads;
    p.num_heads = c.num_kv_heads * c.group;
    p.head_size = c.head_size;
    p.block_size = c.block_size;
    p.max_seq_len = c.max_seq_len;
    if (p.max_seq_len == 0) {
      for (const int64_t length : c.lengths) p.max_seq_len = std::max(p.max_seq_len, length);
    }
    p.max_blocks_per_seq = (p.max_seq_len + c.block_size - 1) / c.block_size + 1;
    p.block_tables_stride = p.max_blocks_per_seq + c.padding;
    p.out_head_stride = p.query_head_stride = c.head_size + c.padding;
    p.out_seq_stride = p.query_seq_stride = p.num_heads * p.out_head_stride + c.padding;
    p.key_cache_head_stride = c.head_size * c.block_size + c.padding;
    p.key_cache_block_stride = p.num_kv_heads * p.key_cache_head_stride + 2 * c.padding;
    p.value_cache_head_stride = c.head_size * c.block_size + 3 * c.padding;
    p.value_cache_block_stride = p.num_kv_heads * p.value_cache_head_stride + c.padding;
    p.block_sparse = c.sparse;
    p.scale = 1.0f / std::sqrt(static_cast<float>(c.head_size));
    p.element = c.element;
    p.cache = c.cache;
  }

  // Blocks in random order, no two alike; entries past the last block are wild numbers.
  void FillTables() {
    std::vector<int64_t> blocks(params.num_seqs);
    int64_t used = 0;
    for (int64_t s = 0; s < params.num_seqs; ++s) {
      const int64_t length =
          std::max<int64_t>(0, std::min<int64_t>(case_.lengths[s], params.max_seq_len));
      blocks[s] = (length + params.block_size - 1) / params.block_size;
      used += blocks[s];
    }
    params.num_blocks = used + 2;
    std::vector<int32_t> order(params.num_blocks);
    for (int64_t i = 0; i < params.num_blocks; ++i) order[i] = static_cast<int32_t>(i);
    for (int64_t i = params.num_blocks - 1; i > 0; --i) {
      std::swap(order[i], order[random_.Below(i + 1)]);
    }
    tables.assign(params.num_seqs * params.block_tables_stride, 0);
    const int32_t wild[] = {-1, INT32_MAX, INT32_MIN, 1 << 20};
    for (int32_t& entry : tables) entry = wild[random_.Below(4)];
    const int32_t bad[] = {-1, INT32_MAX, INT32_MIN, static_cast<int32_t>(params.num_blocks)};
    int64_t next = 0;
    for (int64_t s = 0; s < params.num_seqs; ++s) {
      for (int64_t b = 0; b < blocks[s]; ++b) {
        int32_t& entry = tables[s * params.block_tables_stride + b];
        entry = order[next++];
        if (case_.bad_blocks && b % 3 == 1) entry = bad[random_.Below(4)];
      }
    }
  }

  // NaN and infinities everywhere, numbers where there are tokens.
  void FillCaches() {
    key_cache.resize(params.num_blocks * params.key_cache_block_stride * CacheBytes());
    value_cache.resize(params.num_blocks * params.value_cache_block_stride * CacheBytes());
    for (std::vector<uint8_t>* cache : {&key_cache, &value_cache}) {
      const int64_t count = static_cast<int64_t>(cache->size()) / CacheBytes();
      for (int64_t i = 0; i < count; ++i) {
        const float poison = i % 5 == 0 ? INFINITY : NAN;
        SetBits(cache, i, CacheBytes(),
                case_.cache == CacheType::kAuto ? EncodeElement(case_.element, poison)
                                                : uint32_t{0x7f} | (i % 2 == 0 ? 0x80 : 0));
      }
    }
    for (int64_t s = 0; s < params.num_seqs; ++s) {
      const int64_t length = std::min<int64_t>(case_.lengths[s], params.max_seq_len);
      for (int64_t t = 0; t < length; ++t) {
        if (BlockOf(s, t) < 0) continue;
        for (int64_t g = 0; g < params.num_kv_heads; ++g) {
          for (int64_t d = 0; d < params.head_size; ++d) {
            SetBits(&key_cache, KeyIndex(s, g, d, t), CacheBytes(), RandomCacheBits());
            SetBits(&value_cache, ValueIndex(s, g, d, t), CacheBytes(), RandomCacheBits());
          }
        }
      }
    }
  }

  uint32_t RandomCacheBits() {
    if (case_.cache == CacheType::kAuto) return EncodeElement(case_.element, random_.Normal());
    // Magnitudes up to 4, subnormals too.
    const uint32_t one = case_.cache == CacheType::kFp8E4M3 ? 0x48 : 0x44;
    return static_cast<uint32_t>(random_.Below(one)) | (random_.Below(2) == 0 ? 0x80 : 0);
  }

  int64_t BlockOf(int64_t s, int64_t t) const {
    const int32_t block = tables[s * params.block_tables_stride + t / params.block_size];
    return block >= 0 && block < params.num_blocks ? block : -1;
  }

  bool Attends(int64_t s, int64_t h, int64_t t, int64_t length) const {
    if (BlockOf(s, t) < 0) return false;
    const BlockSparseParams& sparse = params.block_sparse;
    if (!sparse.active()) return true;
    const int64_t first = t / params.block_size * params.block_size;
    const int64_t kb = first / sparse.block_size;
    const int64_t qb = (length - 1) / sparse.block_size;
    const int64_t step = sparse.head_sliding_step;
    const int64_t off = step >= 0
                            ? (sparse.tp_rank * params.num_heads + h) * step + 1
                            : (sparse.tp_rank * params.num_kv_heads + h / case_.group) * -step + 1;
    return (kb + off) % sparse.vert_stride == 0 || kb > qb - sparse.local_blocks;
  }

  int64_t KeyIndex(int64_t s, int64_t g, int64_t d, int64_t t) const {
    const int64_t x = 16 / CacheBytes();
    return BlockOf(s, t) * params.key_cache_block_stride + g * params.key_cache_head_stride +
           (d / x * params.block_size + t % params.block_size) * x + d % x;
  }
  int64_t ValueIndex(int64_t s, int64_t g, int64_t d, int64_t t) const {
    return BlockOf(s, t) * params.value_cache_block_stride + g * params.value_cache_head_stride +
           d * params.block_size + t % params.block_size;
  }
  double Query(int64_t s, int64_t h, int64_t d) const {
    const int64_t i = s * params.query_seq_stride + h * params.query_head_stride + d;
    return DecodeElement(case_.element, GetBits(query, i, ElementBytes()));
  }
  double KeyScale() const { return case_.cache == CacheType::kAuto ? 1.0 : scales[0]; }
  double ValueScale() const { return case_.cache == CacheType::kAuto ? 1.0 : scales[1]; }

  // The numbers of a cache.
  std::vector<float> Decoded(const std::vector<uint8_t>& cache) const {
    std::vector<float> values(static_cast<int64_t>(cache.size()) / CacheBytes());
    for (int64_t i = 0; i < static_cast<int64_t>(values.size()); ++i) {
      const uint32_t bits = GetBits(cache, i, CacheBytes());
      values[i] = case_.cache == CacheType::kAuto
                      ? DecodeElement(case_.element, bits)
                      : static_cast<float>(DecodeFp8(case_.cache, static_cast<uint8_t>(bits)));
    }
    return values;
  }

  DecodeCase case_;
  Random random_;
  std::vector<float> keys_;
  std::vector<float> values_;
};

}  // namespace stablekv::testing

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_DECODE_CASE_H_
