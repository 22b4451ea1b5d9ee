// One shape's inputs on the device, for decode_bench: many copies of the caches, and the answer by
// a plain kernel in float32.
#ifndef STABLEKV_BENCHMARKS_CUDA_DECODE_INPUTS_CUH_
#define STABLEKV_BENCHMARKS_CUDA_DECODE_INPUTS_CUH_

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <utility>
#include <vector>

#include "benchmarks/cuda/bench_support.h"
#include "benchmarks/cuda/decode_shapes.h"
#include "csrc/kernels/attention/paged_attention.h"
#include "csrc/kernels/cache/reshape_and_cache.h"
#include "csrc/kernels/common/cuda/number_format.cuh"
#include "csrc/kernels/common/divide.h"

namespace stablekv::bench {

// out[d] of one head of one sequence, one CTA of head_size threads each.
static __global__ void PlainAttention(PagedAttentionParams p, float* logits, float* out,
                                      int64_t stride) {
  const int64_t s = (blockIdx.x / p.num_heads) * stride;
  const int64_t h = blockIdx.x % p.num_heads;
  const int64_t g = h / (p.num_heads / p.num_kv_heads);
  const int64_t length = p.seq_lens[s];
  const bool fp8 = p.cache != CacheType::kAuto;
  const int64_t x = fp8 ? 16 : 8;
  float* const l = logits + blockIdx.x * p.max_seq_len;
  const auto number = [&](const void* cache, int64_t i) {
    if (p.cache == CacheType::kFp8E4M3) {
      return Decode<Fp8E4M3Format>(static_cast<const uint8_t*>(cache)[i]);
    }
    if (p.cache == CacheType::kFp8E5M2) {
      return Decode<Fp8E5M2Format>(static_cast<const uint8_t*>(cache)[i]);
    }
    return LoadElement(p.element, cache, i);
  };
  for (int64_t t = threadIdx.x; t < length; t += blockDim.x) {
    const int64_t block = p.block_tables[s * p.block_tables_stride + t / p.block_size];
    const int64_t base = block * p.key_cache_block_stride + g * p.key_cache_head_stride;
    float dot = 0.0f;
    for (int64_t d = 0; d < p.head_size; ++d) {
      dot += LoadElement(p.element, p.query, s * p.query_seq_stride + h * p.query_head_stride + d) *
             number(p.key_cache, base + (d / x * p.block_size + t % p.block_size) * x + d % x);
    }
    l[t] = dot * p.scale * (fp8 ? *p.k_scale : 1.0f);
  }
  __syncthreads();
  float max = -INFINITY;
  for (int64_t t = 0; t < length; ++t) max = fmaxf(max, l[t]);
  float sum = 0.0f;
  float value = 0.0f;
  for (int64_t t = 0; t < length; ++t) {
    const int64_t block = p.block_tables[s * p.block_tables_stride + t / p.block_size];
    const float weight = expf(l[t] - max);
    sum += weight;
    value += weight * number(p.value_cache, block * p.value_cache_block_stride +
                                                g * p.value_cache_head_stride +
                                                threadIdx.x * p.block_size + t % p.block_size);
  }
  out[blockIdx.x * p.head_size + threadIdx.x] = value / sum * (fp8 ? *p.v_scale : 1.0f);
}

template <typename T>
T* Allocate(int64_t count) {
  void* memory;
  Must(cudaMalloc(&memory, count * sizeof(T)), "cudaMalloc");
  return static_cast<T*>(memory);
}

inline void MustBeOk(const Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.message().c_str());
  std::exit(1);
}

// All of one shape: caches in the pool, one page table for each copy.
class Run {
 public:
  Run(const Shape& shape, uint8_t* pool) : shape_(shape), pool_(pool) {
    for (int64_t s = 0; s < shape.batch; ++s) {
      lengths_.push_back(static_cast<int32_t>(
          shape.context == kRag ? 256 + (16384 - 256) * ((s * 37 + 11) % 64) / 63 : shape.context));
    }
    max_len_ =
        std::max<int64_t>(*std::max_element(lengths_.begin(), lengths_.end()), shape.max_seq_len);
    const int64_t bs = shape.block_size;
    columns_ = CeilDivide(max_len_, bs);
    for (const int32_t length : lengths_) blocks_ += CeilDivide(length, bs);
    block_bytes_ = shape.num_kv_heads * shape.head_size * bs * SizeOf(shape.cache, shape.element);
    kv_bytes_ = 2 * blocks_ * block_bytes_;
    copies_ = CopiesFor(kv_bytes_);
    FillTables();
    const int64_t numbers = (shape.batch * shape.num_heads + 1) * shape.head_size;
    query_ = Allocate<uint16_t>(numbers);
    FillRandom(query_, 2 * numbers, shape.element, CacheType::kAuto, 5);
    out_ = Allocate<uint16_t>(shape.batch * shape.num_heads * shape.head_size);
    const int64_t partitions = CeilDivide(max_len_, kPartitionSize);
    const int64_t rows = shape.batch * shape.num_heads * partitions;
    scratch_ = {Allocate<float>(rows), Allocate<float>(rows),
                Allocate<uint16_t>(rows * shape.head_size), partitions, shape.element};
    v1_scratch_ = Allocate<uint8_t>(rows * (shape.head_size + 2) * 4);
    lengths_device_ = Allocate<int32_t>(shape.batch);
    Must(cudaMemcpy(lengths_device_, lengths_.data(), 4 * shape.batch, cudaMemcpyHostToDevice),
         "lengths");
    const float scales[] = {0.5f, 0.25f};
    scales_ = Allocate<float>(2);
    Must(cudaMemcpy(scales_, scales, sizeof(scales), cudaMemcpyHostToDevice), "scales");
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;
  ~Run() {
    for (void* memory :
         {static_cast<void*>(query_), static_cast<void*>(out_),
          static_cast<void*>(scratch_.exp_sums), static_cast<void*>(scratch_.max_logits),
          scratch_.tmp_out, static_cast<void*>(v1_scratch_), static_cast<void*>(lengths_device_),
          static_cast<void*>(scales_), static_cast<void*>(tables_),
          static_cast<void*>(last_slots_)}) {
      cudaFree(memory);
    }
  }

  PagedAttentionParams Params(int64_t copy) const {
    PagedAttentionParams p = {};
    p.out = out_;
    p.query = query_;
    p.key_cache = pool_ + copy * kv_bytes_;
    p.value_cache = pool_ + copy * kv_bytes_ + kv_bytes_ / 2;
    p.k_scale = scales_;
    p.v_scale = scales_ + 1;
    p.block_tables = tables_ + copy * shape_.batch * columns_;
    p.seq_lens = lengths_device_;
    p.num_seqs = shape_.batch;
    p.num_heads = shape_.num_heads;
    p.num_kv_heads = shape_.num_kv_heads;
    p.head_size = shape_.head_size;
    p.block_size = shape_.block_size;
    p.num_blocks = blocks_;
    p.max_blocks_per_seq = columns_;
    p.max_seq_len = max_len_;
    p.out_head_stride = p.query_head_stride = shape_.head_size;
    p.out_seq_stride = p.query_seq_stride = shape_.num_heads * shape_.head_size;
    p.key_cache_head_stride = p.value_cache_head_stride = shape_.head_size * shape_.block_size;
    p.key_cache_block_stride = p.value_cache_block_stride =
        shape_.num_kv_heads * shape_.head_size * shape_.block_size;
    p.block_tables_stride = columns_;
    p.scale = 1.0f / std::sqrt(static_cast<float>(shape_.head_size));
    p.element = shape_.element;
    p.cache = shape_.cache;
    return p;
  }
  // As a step does in front of attention. What lies half a head behind the queries serves as keys
  // and values.
  void WriteLastTokens(int64_t copy, cudaStream_t stream) const {
    const PagedAttentionParams attention = Params(copy);
    ReshapeAndCacheParams p = {};
    p.key = p.value = query_ + shape_.head_size / 2;
    p.key_cache = pool_ + copy * kv_bytes_;
    p.value_cache = pool_ + copy * kv_bytes_ + kv_bytes_ / 2;
    p.slot_mapping = last_slots_ + copy * shape_.batch;
    p.k_scale = scales_;
    p.v_scale = scales_ + 1;
    p.num_tokens = shape_.batch;
    p.num_blocks = blocks_;
    p.num_heads = shape_.num_kv_heads;
    p.head_size = shape_.head_size;
    p.block_size = shape_.block_size;
    p.x = 16 / SizeOf(shape_.cache, shape_.element);
    p.key_token_stride = p.value_token_stride = attention.query_seq_stride;
    p.key_head_stride = p.value_head_stride = attention.query_head_stride;
    p.key_cache_block_stride = attention.key_cache_block_stride;
    p.key_cache_head_stride = attention.key_cache_head_stride;
    p.value_cache_block_stride = attention.value_cache_block_stride;
    p.value_cache_head_stride = attention.value_cache_head_stride;
    p.element = shape_.element;
    p.cache = shape_.cache;
    MustBeOk(ReshapeAndCacheCuda(p, stream));
  }
  const PagedAttentionScratch& scratch() const { return scratch_; }
  // For v1, the same to every call: they follow each other.
  ScratchMemory memory() const {
    return {[](int64_t, void* bytes) { return bytes; }, v1_scratch_};
  }
  int64_t kv_bytes() const { return kv_bytes_; }
  int64_t copies() const { return copies_; }

  // Asks the plain kernel what ErrorOf() compares with: for the pages of the last copy.
  void FillReference() {
    const int64_t stride = CheckedStride();
    const int64_t checked = CeilDivide(shape_.batch, stride) * shape_.num_heads;
    float* const logits = Allocate<float>(checked * max_len_);
    float* const out = Allocate<float>(checked * shape_.head_size);
    PlainAttention<<<static_cast<unsigned>(checked), static_cast<unsigned>(shape_.head_size)>>>(
        Params(copies_ - 1), logits, out, stride);
    reference_.resize(checked * shape_.head_size);
    Must(cudaMemcpy(reference_.data(), out, 4 * reference_.size(), cudaMemcpyDeviceToHost),
         "reference");
    cudaFree(logits);
    cudaFree(out);
  }

  // ||out - reference|| / ||reference|| over all heads of some sequences.
  double ErrorOf(const std::function<void(const PagedAttentionParams&)>& launch) const {
    const int64_t row = shape_.num_heads * shape_.head_size;
    std::vector<uint16_t> got(shape_.batch * row);
    Must(cudaMemset(out_, 0xff, 2 * got.size()), "poison");
    launch(Params(copies_ - 1));
    Must(cudaMemcpy(got.data(), out_, 2 * got.size(), cudaMemcpyDeviceToHost), "output");
    double difference = 0, magnitude = 0;
    for (int64_t i = 0; i < static_cast<int64_t>(reference_.size()); ++i) {
      const uint16_t bits = got[i / row * CheckedStride() * row + i % row];
      const uint32_t wide = static_cast<uint32_t>(bits) << 16;
      float value;
      if (shape_.element == ElementType::kFloat16) {
        value = __half2float(__half(__half_raw{bits}));
      } else {
        std::memcpy(&value, &wide, 4);
      }
      difference += (value - reference_[i]) * (value - reference_[i]);
      magnitude += reference_[i] * reference_[i];
    }
    return std::sqrt(difference / magnitude);
  }

 private:
  // Every so many sequences, one is compared.
  int64_t CheckedStride() const { return std::max<int64_t>(1, shape_.batch / 4); }

  // A random permutation of the blocks for each copy.
  void FillTables() {
    std::vector<int32_t> tables(copies_ * shape_.batch * columns_, 0);
    std::vector<int32_t> order(blocks_);
    for (int64_t i = 0; i < blocks_; ++i) order[i] = static_cast<int32_t>(i);
    uint64_t state = 1;
    for (int64_t copy = 0; copy < copies_; ++copy) {
      for (int64_t i = blocks_ - 1; i > 0; --i) {
        state = state * 6364136223846793005ull + 1442695040888963407ull;
        std::swap(order[i], order[(state >> 33) % (i + 1)]);
      }
      int64_t next = 0;
      for (int64_t s = 0; s < shape_.batch; ++s) {
        const int64_t count = (lengths_[s] + shape_.block_size - 1) / shape_.block_size;
        for (int64_t b = 0; b < count; ++b) {
          tables[(copy * shape_.batch + s) * columns_ + b] = order[next++];
        }
      }
    }
    std::vector<int64_t> last_slots;
    for (int64_t copy = 0; copy < copies_; ++copy) {
      for (int64_t s = 0; s < shape_.batch; ++s) {
        const int64_t token = lengths_[s] - 1;
        const int64_t entry = (copy * shape_.batch + s) * columns_ + token / shape_.block_size;
        last_slots.push_back(tables[entry] * shape_.block_size + token % shape_.block_size);
      }
    }
    last_slots_ = Allocate<int64_t>(static_cast<int64_t>(last_slots.size()));
    Must(cudaMemcpy(last_slots_, last_slots.data(), 8 * last_slots.size(), cudaMemcpyHostToDevice),
         "slots");
    tables_ = Allocate<int32_t>(static_cast<int64_t>(tables.size()));
    Must(cudaMemcpy(tables_, tables.data(), 4 * tables.size(), cudaMemcpyHostToDevice), "tables");
  }

  Shape shape_;
  uint8_t* pool_;
  std::vector<int32_t> lengths_;
  int64_t max_len_ = 0;
  int64_t columns_ = 0;
  int64_t blocks_ = 0;
  int64_t block_bytes_ = 0;
  int64_t kv_bytes_ = 0;
  int64_t copies_ = 0;
  uint16_t* query_ = nullptr;
  uint16_t* out_ = nullptr;
  PagedAttentionScratch scratch_ = {};
  uint8_t* v1_scratch_ = nullptr;
  int32_t* lengths_device_ = nullptr;
  float* scales_ = nullptr;
  int32_t* tables_ = nullptr;
  int64_t* last_slots_ = nullptr;
  std::vector<float> reference_;
};

}  // namespace stablekv::bench

#endif  // STABLEKV_BENCHMARKS_CUDA_DECODE_INPUTS_CUH_
