// Times paged_attention_v1 and _v2 on the shapes of a list, next to a pure read of the same bytes
// and to fetching the same pages in the order of the block tables. Every answer is compared with a
// plain kernel in float32 before it is timed.
//   decode_bench [--largest MIB] [--match TEXT] [--sweep]
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "benchmarks/cuda/bench_support.h"
#include "benchmarks/cuda/decode_shapes.h"
#include "benchmarks/cuda/gather_limit.h"
#include "csrc/kernels/attention/cuda/mma/mma_attention.h"
#include "csrc/kernels/attention/cuda/share_plan.h"
#include "csrc/kernels/attention/paged_attention.h"
#include "csrc/kernels/common/cuda/number_format.cuh"
#include "csrc/kernels/common/divide.h"

namespace stablekv::bench {
namespace {

// out[d] of one head of one sequence, one CTA of head_size threads each.
__global__ void PlainAttention(PagedAttentionParams p, float* logits, float* out, int64_t stride) {
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
    query_ = Allocate<uint16_t>(shape.batch * shape.num_heads * shape.head_size);
    FillRandom(query_, 2 * shape.batch * shape.num_heads * shape.head_size, shape.element,
               CacheType::kAuto, 5);
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
          static_cast<void*>(scales_), static_cast<void*>(tables_)}) {
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
  const PagedAttentionScratch& scratch() const { return scratch_; }
  // For v1, the same to every call: they follow each other.
  ScratchMemory memory() const {
    return {[](int64_t, void* bytes) { return bytes; }, v1_scratch_};
  }
  int64_t kv_bytes() const { return kv_bytes_; }
  int64_t copies() const { return copies_; }
  int64_t max_len() const { return max_len_; }

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
  std::vector<float> reference_;
};

void MustBeOk(const Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.message().c_str());
  std::exit(1);
}

// Times one way of computing a shape; refuses a wrong answer.
double Time(const Run& run, const std::string& what,
            const std::function<Status(const PagedAttentionParams&, cudaStream_t)>& attend) {
  const double error =
      run.ErrorOf([&](const PagedAttentionParams& p) { MustBeOk(attend(p, nullptr)); });
  if (!(error < 3e-3)) {
    std::printf("WRONG %s: relative error %.2e\n", what.c_str(), error);
    return NAN;
  }
  return MicrosecondsOf(run.copies(), [&](int64_t copy, cudaStream_t stream) {
    MustBeOk(attend(run.Params(copy), stream));
  });
}

// A name for a plan: CTAs of a cluster x splits, and what else it says.
std::string PlanText(const SplitPlan& plan) {
  if (plan.num_shares > 0) return std::to_string(plan.num_shares) + " shares";
  std::string text =
      "c" + std::to_string(plan.cluster_size) + "x" + std::to_string(plan.num_splits);
  if (plan.log_items_per_cta > 0) text += " of " + std::to_string(1 << plan.log_items_per_cta);
  return text;
}

// Plans beside the one that is picked.
std::vector<SplitPlan> OtherPlans(const PagedAttentionParams& params, const MmaDevice& device) {
  std::vector<SplitPlan> plans;
  const int64_t items = params.num_seqs * params.num_kv_heads;
  const int64_t rows = CeilDivide(params.max_seq_len, kPartitionSize);  // that there are
  for (const int cluster : {1, 2, 4, 8, 16}) {
    // Powers of two, and what gives each multiprocessor one CTA or two.
    std::set<int64_t> counts;
    for (int64_t count = 1; count <= std::max<int64_t>(rows, 1); count *= 2) counts.insert(count);
    for (const int64_t waves : {1, 2}) {
      const int64_t count = std::min(waves * device.processors / (items * cluster), rows);
      if (count > 0) counts.insert(count);
    }
    for (const int64_t splits : counts) {
      const int64_t ctas = items * cluster * splits;
      const bool idle = 4 * ctas < 3 * device.processors && params.max_seq_len > 2048;
      if (params.max_seq_len < cluster * 32 * splits || ctas > 16384 || (idle && cluster < 8)) {
        continue;
      }
      // Whatever there is to choose beside the cut: the order, and the length of the rings.
      const bool ordered = ctas > 2 * device.processors && params.num_seqs <= 256;
      for (int choice = 0; choice < (ordered ? 4 : 2); ++choice) {
        plans.push_back({cluster, static_cast<int>(splits), choice >= 2, choice % 2 == 1, 0, 0});
      }
    }
  }
  for (const int log_items : {1, 2}) {
    if (items >= 128 << log_items && params.head_size <= 128) {
      plans.push_back({1, 1, false, false, log_items, 0});
      plans.push_back({1, 1, false, true, log_items, 0});
    }
  }
  for (const int eighths : {4, 8, 10, 12, 14, 16, 20, 24, 32}) {
    const int64_t shares = eighths * device.processors / 8 / params.num_kv_heads;
    const SplitPlan plan = {1, 1, false, true, 0, static_cast<int>(shares)};
    if (params.num_seqs <= kMostSharing && shares > params.num_seqs / 4 &&
        RowsOf(plan, params.num_seqs) <= rows) {
      plans.push_back(plan);
    }
  }
  return plans;
}

// Times them, to see whether it is the best.
void Sweep(const Run& run, const MmaDevice& device) {
  struct Result {
    double time;
    std::string text;
    bool one_split;
  };
  std::vector<Result> results;
  for (const SplitPlan& plan : OtherPlans(run.Params(0), device)) {
    const std::string text = PlanText(plan) + (plan.longest_first ? ", order" : "") +
                             (plan.short_rings ? ", short" : "");
    const double time = Time(run, text, [&](const PagedAttentionParams& p, cudaStream_t stream) {
      return LaunchMmaAttention(p, &run.scratch(), plan, stream);
    });
    results.push_back({time, text, !HasReduction(plan)});
  }
  std::sort(results.begin(), results.end(),
            [](const Result& a, const Result& b) { return a.time < b.time; });
  std::printf("    ");
  for (size_t i = 0; i < std::min<size_t>(12, results.size()); ++i) {
    std::printf("%s %.1f | ", results[i].text.c_str(), results[i].time);
  }
  for (const Result& result : results) {
    if (!result.one_split) continue;
    std::printf("best of one split: %s %.1f", result.text.c_str(), result.time);
    break;
  }
  std::printf("\n");
}

// Host time of a call, microseconds: many calls onto a stream that is kept short.
double HostMicroseconds(const Run& run, bool v2) {
  std::vector<double> times;
  for (int round = 0; round < 20; ++round) {
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < 20; ++i) {
      MustBeOk(v2 ? PagedAttentionV2Cuda(run.Params(0), run.scratch(), nullptr)
                  : PagedAttentionV1Cuda(run.Params(0), run.memory(), nullptr));
    }
    const auto end = std::chrono::steady_clock::now();
    times.push_back(std::chrono::duration<double, std::micro>(end - begin).count() / 20);
    Must(cudaDeviceSynchronize(), "host time");
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

const char* one_plan = nullptr;

void Bench(const Shape& shape, uint8_t* pool, bool sweep) {
  Run run(shape, pool);
  MmaDevice device;
  MustBeOk(MmaDevice::OfCurrent(&device));
  if (one_plan != nullptr) {
    SplitPlan plan = {1, 1, false, false, 0, 0};
    std::sscanf(one_plan, "%d,%d,%d", &plan.cluster_size, &plan.num_splits, &plan.num_shares);
    plan.short_rings = plan.cluster_size <= 2;
    for (int i = 0; i < 3; ++i) {  // for a profiler to choose from
      MustBeOk(LaunchMmaAttention(run.Params(i % run.copies()), &run.scratch(), plan, nullptr));
    }
    Must(cudaDeviceSynchronize(), "plan");
    return;
  }
  run.FillReference();
  const char* cache = shape.cache == CacheType::kFp8E4M3       ? "e4m3"
                      : shape.cache == CacheType::kFp8E5M2     ? "e5m2"
                      : shape.element == ElementType::kFloat16 ? "f16"
                                                               : "bf16";
  char name[128];
  std::snprintf(name, sizeof(name), "%-4s %ld/%ld D%ld bs%ld B%ld ctx %s %s", shape.name.c_str(),
                static_cast<long>(shape.num_heads), static_cast<long>(shape.num_kv_heads),
                static_cast<long>(shape.head_size), static_cast<long>(shape.block_size),
                static_cast<long>(shape.batch),
                shape.context == kRag ? "rag" : std::to_string(shape.context).c_str(), cache);
  const double read = MicrosecondsOfReading(pool, run.kv_bytes(), run.copies());
  const double gather =
      MicrosecondsOfGathering(run.copies(), [&run](int64_t copy) { return run.Params(copy); });
  const double target = 1.02 * read + 4;
  const PagedAttentionParams p = run.Params(0);
  const bool mma = MmaCovers(p, device);
  const double v1 = Time(run, name, [&](const PagedAttentionParams& params, cudaStream_t stream) {
    return PagedAttentionV1Cuda(params, run.memory(), stream);
  });
  const double alone =
      Time(run, name, [&](const PagedAttentionParams& params, cudaStream_t stream) {
        return PagedAttentionV1Cuda(params, {}, stream);
      });
  const double v2 = Time(run, name, [&](const PagedAttentionParams& params, cudaStream_t stream) {
    return PagedAttentionV2Cuda(params, run.scratch(), stream);
  });
  const double best = std::fmin(v1, v2);
  std::printf(
      "%-36s %8.1f MiB  read %7.1f  gather %7.1f  T %7.1f  v1 %7.1f (%s; without scratch %7.1f)  "
      "v2 %7.1f  best "
      "%5.0f GB/s %3.0f%% "
      "of read  %s  host v1 %.1f v2 %.1f\n",
      name, static_cast<double>(run.kv_bytes()) / (1 << 20), read, gather, target, v1,
      mma ? PlanText(MmaPlanFor(p, /*has_scratch=*/true, device)).c_str() : "general", alone, v2,
      static_cast<double>(run.kv_bytes()) / best * 1e-3, 100 * read / best,
      best <= target ? "ok" : "OVER", HostMicroseconds(run, false), HostMicroseconds(run, true));
  if (sweep && mma) Sweep(run, device);
  std::fflush(stdout);
}

}  // namespace
}  // namespace stablekv::bench

int main(int argc, char** argv) {
  namespace b = stablekv::bench;
  int64_t largest = 1024;
  std::string match;
  bool sweep = false;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--sweep") == 0) sweep = true;
    if (std::strcmp(argv[i], "--plan") == 0 && i + 1 < argc) b::one_plan = argv[i + 1];
    if (std::strcmp(argv[i], "--largest") == 0 && i + 1 < argc) largest = std::atoll(argv[i + 1]);
    if (std::strcmp(argv[i], "--match") == 0 && i + 1 < argc) match = argv[i + 1];
  }
  std::vector<b::Shape> shapes;
  int64_t pool_bytes = b::kRotatedBytes;
  for (const b::Shape& shape : b::Shapes()) {
    const int64_t tokens = shape.batch * (shape.context == b::kRag ? 8400 : shape.context);
    const int64_t bytes = 2 * tokens * shape.num_kv_heads * shape.head_size *
                          stablekv::SizeOf(shape.cache, shape.element);
    const std::string key = " " + shape.name + " B" + std::to_string(shape.batch) + " ctx" +
                            std::to_string(shape.context) +
                            (shape.cache == stablekv::CacheType::kAuto ? " auto " : " fp8 ");
    if (bytes > largest << 20 || key.find(match) == std::string::npos) continue;
    pool_bytes = std::max(pool_bytes, bytes + bytes / 8);
    shapes.push_back(shape);
  }
  pool_bytes = pool_bytes * 2 + (int64_t{64} << 20);
  uint8_t* const pool = b::Allocate<uint8_t>(pool_bytes);
  std::string filled;
  for (const b::Shape& shape : shapes) {
    const std::string filling = shape.cache != stablekv::CacheType::kAuto          ? "fp8"
                                : shape.element == stablekv::ElementType::kFloat16 ? "f16"
                                                                                   : "bf16";
    if (filling != filled) {
      b::FillRandom(pool, pool_bytes, shape.element, shape.cache, 7);
      filled = filling;
    }
    b::Bench(shape, pool, sweep);
  }
  return 0;
}
