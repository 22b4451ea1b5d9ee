// Times decode attention on the CPU, each vector unit's code, next to a plain read of the same
// bytes in turns with it. Every answer is compared with plain loops in float64 before it is timed.
//   decode_bench [--mib N] [--match TEXT] [--isa NAME] [--rounds N] [--huge]
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "benchmarks/cpu/read_limit.h"
#include "csrc/kernels/attention/paged_attention_cpu.h"
#include "csrc/kernels/common/bfloat16.h"
#include "csrc/kernels/common/float16.h"
#include "csrc/kernels/common/fp8.h"

namespace stablekv::bench {
namespace {

constexpr int64_t kThreads = 2;  // as many cores as the figures of docs/performance_cpu.md are of
constexpr int64_t kKvHeads = 8;
constexpr int64_t kReadUnit = 64 * 1024;

struct Options {
  int64_t mib = 1024;  // of keys and values
  int64_t rounds = 7;
  bool huge = false;  // ask for huge pages
  std::string match;
  std::string isa;
};

struct Format {
  const char* name;
  ElementType element;
  CacheType cache;
};

constexpr Format kFormats[] = {
    {"float32", ElementType::kFloat32, CacheType::kAuto},
    {"bf16", ElementType::kBFloat16, CacheType::kAuto},
    {"f16", ElementType::kFloat16, CacheType::kAuto},
    {"e4m3", ElementType::kBFloat16, CacheType::kFp8E4M3},
    {"e5m2", ElementType::kBFloat16, CacheType::kFp8E5M2},
};

struct Shape {
  Format format;
  int64_t group;
  int64_t head_size;
  int64_t block_size;
  int64_t context;
};

std::vector<Shape> Shapes() {
  std::vector<Shape> shapes;
  for (const Format& format : kFormats) {
    for (const int64_t group : {1, 2, 4, 8}) shapes.push_back({format, group, 128, 16, 4096});
    for (const int64_t context : {512, 16384}) shapes.push_back({format, 4, 128, 16, context});
    for (const int64_t head_size : {64, 256}) shapes.push_back({format, 4, head_size, 16, 4096});
    for (const int64_t block_size : {8, 32}) shapes.push_back({format, 4, 128, block_size, 4096});
    shapes.push_back({format, 16, 128, 16, 4096});
  }
  return shapes;
}

std::string NameOf(const Shape& shape) {
  char name[96];
  std::snprintf(name, sizeof(name), "%-7s g%-2ld h%-3ld b%-2ld ctx%-5ld", shape.format.name,
                static_cast<long>(shape.group), static_cast<long>(shape.head_size),
                static_cast<long>(shape.block_size), static_cast<long>(shape.context));
  return name;
}

// A ParallelFor with one equal part for each thread, as torch's is.
void ThreadedFor(int64_t begin, int64_t end, int64_t grain, void (*body)(int64_t, int64_t, void*),
                 void* context) {
  const int64_t parts =
      std::clamp<int64_t>((end - begin) / std::max<int64_t>(grain, 1), 1, kThreads);
  const int64_t part = (end - begin + parts - 1) / parts;
  std::vector<std::thread> threads;
  for (int64_t i = 1; i < parts; ++i) {
    threads.emplace_back(body, begin + i * part, std::min(end, begin + (i + 1) * part), context);
  }
  body(begin, std::min(end, begin + part), context);
  for (std::thread& thread : threads) thread.join();
}

template <typename Function>
double SecondsOf(Function&& function) {
  const auto begin = std::chrono::steady_clock::now();
  function();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double MedianOf(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

double BestOf(const std::vector<double>& values) {
  return *std::min_element(values.begin(), values.end());
}

uint64_t Random(uint64_t* state) {
  *state = *state * 6364136223846793005ull + 1442695040888963407ull;
  return *state >> 32;
}

void Encode(ElementType element, CacheType cache, float value, uint8_t* to) {
  if (cache == CacheType::kFp8E4M3) {
    *to = FloatToFp8E4M3(value);
  } else if (cache == CacheType::kFp8E5M2) {
    *to = FloatToFp8E5M2(value);
  } else if (element == ElementType::kFloat32) {
    std::memcpy(to, &value, 4);
  } else {
    const uint16_t code =
        element == ElementType::kFloat16 ? FloatToFloat16(value) : FloatToBFloat16(value);
    std::memcpy(to, &code, 2);
  }
}

double Decode(ElementType element, CacheType cache, const void* tensor, int64_t index) {
  const auto* from = static_cast<const uint8_t*>(tensor) + index * SizeOf(cache, element);
  if (cache == CacheType::kFp8E4M3) return Fp8E4M3ToFloat(*from);
  if (cache == CacheType::kFp8E5M2) return Fp8E5M2ToFloat(*from);
  float value;
  uint16_t code;
  std::memcpy(&code, from, 2);
  if (element == ElementType::kFloat16) return Float16ToFloat(code);
  if (element == ElementType::kBFloat16) return BFloat16ToFloat(code);
  std::memcpy(&value, from, 4);
  return value;
}

// Fills `bytes` bytes with bell-shaped numbers of variance 1. They repeat after a length that no
// block has for a divisor.
void Fill(ElementType element, CacheType cache, uint64_t seed, uint8_t* to, int64_t bytes) {
  const int64_t element_bytes = SizeOf(cache, element);
  std::vector<uint8_t> pattern(std::min<int64_t>(bytes, (1 << 20) + 8 * 1031));
  for (size_t i = 0; i + element_bytes <= pattern.size(); i += element_bytes) {
    float sum = 0;
    for (int j = 0; j < 4; ++j) sum += static_cast<float>(Random(&seed)) / 4294967296.0f - 0.5f;
    Encode(element, cache, sum * 1.7320508f, &pattern[i]);
  }
  const auto size = static_cast<int64_t>(pattern.size());
  for (int64_t at = 0; at < bytes; at += size) {
    std::memcpy(to + at, pattern.data(), std::min(size, bytes - at));
  }
}

class Problem {
 public:
  Problem(const Shape& shape, uint8_t* pool, int64_t pool_bytes) : shape_(shape) {
    const int64_t seqs = pool_bytes / BytesOfSequence(shape);
    columns_ = ColumnsOf(shape);
    const int64_t blocks = seqs * columns_;
    kv_bytes_ = seqs * BytesOfSequence(shape);
    table_.resize(blocks);
    for (int64_t i = 0; i < blocks; ++i) table_[i] = static_cast<int32_t>(i);
    uint64_t state = 1;
    for (int64_t i = blocks - 1; i > 0; --i) std::swap(table_[i], table_[Random(&state) % (i + 1)]);
    lengths_.assign(seqs, static_cast<int32_t>(shape.context));

    PagedAttentionParams& p = params_;
    p.element = shape.format.element;
    p.cache = shape.format.cache;
    p.num_seqs = seqs;
    p.num_kv_heads = kKvHeads;
    p.num_heads = kKvHeads * shape.group;
    p.head_size = shape.head_size;
    p.block_size = shape.block_size;
    const int64_t outputs = seqs * p.num_heads * p.head_size;
    query_.resize(outputs * SizeOf(p.element));
    out_.resize(query_.size());
    Fill(p.element, CacheType::kAuto, 5, query_.data(), static_cast<int64_t>(query_.size()));
    p.query = query_.data();
    p.out = out_.data();
    p.key_cache = pool;
    p.value_cache = pool + kv_bytes_ / 2;
    p.k_scale = &k_scale_;
    p.v_scale = &v_scale_;
    p.block_tables = table_.data();
    p.seq_lens = lengths_.data();
    p.num_blocks = blocks;
    p.max_blocks_per_seq = p.block_tables_stride = columns_;
    p.max_seq_len = shape.context;
    p.out_head_stride = p.query_head_stride = p.head_size;
    p.out_seq_stride = p.query_seq_stride = p.num_heads * p.head_size;
    p.key_cache_head_stride = p.value_cache_head_stride = p.head_size * p.block_size;
    p.key_cache_block_stride = p.value_cache_block_stride = kKvHeads * p.key_cache_head_stride;
    p.scale = 1.0f / std::sqrt(static_cast<float>(p.head_size));
  }
  Problem(const Problem&) = delete;

  // Of its keys and values.
  static int64_t BytesOfSequence(const Shape& shape) {
    return 2 * ColumnsOf(shape) * shape.block_size * kKvHeads * shape.head_size *
           SizeOf(shape.format.cache, shape.format.element);
  }

  int64_t kv_bytes() const { return kv_bytes_; }

  void Attend(CpuIsa isa) {
    const Status status = PagedAttentionOnIsa(params_, ThreadedFor, isa);
    if (status.ok()) return;
    std::fprintf(stderr, "%s\n", status.message().c_str());
    std::exit(1);
  }

  // ||out - reference|| / ||reference|| over the first, a middle and the last head.
  double Error() const {
    const PagedAttentionParams& p = params_;
    double difference = 0, magnitude = 0;
    const int64_t rows = p.num_seqs * p.num_heads;
    for (const int64_t row : {int64_t{0}, rows / 2 + 1, rows - 1}) {
      const std::vector<double> want = Reference(row / p.num_heads, row % p.num_heads);
      for (int64_t d = 0; d < p.head_size; ++d) {
        const double got = Decode(p.element, CacheType::kAuto, p.out, row * p.head_size + d);
        difference += (got - want[d]) * (got - want[d]);
        magnitude += want[d] * want[d];
      }
    }
    return std::sqrt(difference / magnitude);
  }

 private:
  static int64_t ColumnsOf(const Shape& shape) {
    return (shape.context + shape.block_size - 1) / shape.block_size;
  }

  std::vector<double> Reference(int64_t seq, int64_t head) const {
    const PagedAttentionParams& p = params_;
    const bool fp8 = p.cache != CacheType::kAuto;
    const int64_t x = 16 / SizeOf(p.cache, p.element);
    std::vector<double> logits(p.max_seq_len);
    double max = -INFINITY;
    const auto block_of = [&](int64_t t) {
      return (table_[seq * columns_ + t / p.block_size] * kKvHeads + head / shape_.group) *
             p.key_cache_head_stride;
    };
    for (int64_t t = 0; t < p.max_seq_len; ++t) {
      for (int64_t d = 0; d < p.head_size; ++d) {
        const int64_t at = (d / x * p.block_size + t % p.block_size) * x + d % x;
        logits[t] += Decode(p.element, CacheType::kAuto, p.query,
                            (seq * p.num_heads + head) * p.head_size + d) *
                     Decode(p.element, p.cache, p.key_cache, block_of(t) + at);
      }
      logits[t] *= p.scale * (fp8 ? k_scale_ : 1.0f);
      max = std::max(max, logits[t]);
    }
    std::vector<double> out(p.head_size);
    double sum = 0;
    for (int64_t t = 0; t < p.max_seq_len; ++t) {
      const double weight = std::exp(logits[t] - max);
      sum += weight;
      for (int64_t d = 0; d < p.head_size; ++d) {
        out[d] += weight * Decode(p.element, p.cache, p.value_cache,
                                  block_of(t) + d * p.block_size + t % p.block_size);
      }
    }
    for (double& value : out) value *= (fp8 ? v_scale_ : 1.0f) / sum;
    return out;
  }

  Shape shape_;
  int64_t columns_ = 0;
  int64_t kv_bytes_ = 0;
  float k_scale_ = 0.5f;
  float v_scale_ = 0.3f;
  std::vector<int32_t> table_, lengths_;
  std::vector<uint8_t> query_, out_;
  PagedAttentionParams params_{};
};

// Reads the pool with kThreads threads.
double SecondsOfReading(const ReadLoop& loop, const uint8_t* pool, int64_t bytes) {
  struct Work {
    const ReadLoop* loop;
    const uint8_t* pool;
  } work = {&loop, pool};
  return SecondsOf([&] {
    ThreadedFor(
        0, bytes / kReadUnit, 1,
        [](int64_t begin, int64_t end, void* context) {
          auto* const of = static_cast<Work*>(context);
          of->loop->read(of->pool + begin * kReadUnit, (end - begin) * kReadUnit);
        },
        &work);
  });
}

// The fastest way to read, by the best of three.
ReadLoop BestReadLoop(const uint8_t* pool, int64_t bytes) {
  const std::vector<ReadLoop> loops = ReadLoops();
  std::vector<double> best(loops.size(), INFINITY);
  bytes = std::min(bytes, int64_t{256} << 20) / (8 * kReadUnit) * (8 * kReadUnit);
  for (int round = 0; round < 3; ++round) {
    for (size_t i = 0; i < loops.size(); ++i) {
      best[i] = std::min(best[i], SecondsOfReading(loops[i], pool, bytes));
    }
  }
  for (size_t i = 0; i < loops.size(); ++i) {
    std::printf("read: %5.1f GB/s  %s\n", static_cast<double>(bytes) / best[i] * 1e-9,
                loops[i].name);
  }
  return loops[std::min_element(best.begin(), best.end()) - best.begin()];
}

void Bench(const Shape& shape, const Options& options, const ReadLoop& loop, uint8_t* pool,
           int64_t pool_bytes) {
  Problem problem(shape, pool, pool_bytes);
  std::vector<CpuIsa> isas;
  for (const CpuIsa isa : kCpuIsas) {
    if (!HasCpuIsa(isa) || std::string(NameOf(isa)).find(options.isa) == std::string::npos)
      continue;
    problem.Attend(isa);
    const double error = problem.Error();
    if (!(error < (shape.format.element == ElementType::kFloat32 ? 1e-5 : 5e-3))) {
      std::printf("%s WRONG on %s: relative error %.2e\n", NameOf(shape).c_str(), NameOf(isa),
                  error);
      continue;
    }
    isas.push_back(isa);
  }
  std::vector<double> reads;
  std::vector<std::vector<double>> times(isas.size()), shares(isas.size());
  for (int64_t round = 0; round < options.rounds; ++round) {
    for (size_t i = 0; i < isas.size(); ++i) {
      // The portable code is slow and of no help in telling how steady the machine is.
      if (isas[i] == CpuIsa::kPortable && round > 1 && isas.size() > 1) continue;
      reads.push_back(SecondsOfReading(loop, pool, problem.kv_bytes()));
      times[i].push_back(SecondsOf([&] { problem.Attend(isas[i]); }));
      shares[i].push_back(100 * reads.back() / times[i].back());
    }
  }
  if (isas.empty()) return;
  const auto bytes = static_cast<double>(problem.kv_bytes()) * 1e-9;
  std::printf("%s read %5.1f (median %5.1f) GB/s", NameOf(shape).c_str(), bytes / BestOf(reads),
              bytes / MedianOf(reads));
  for (size_t i = 0; i < isas.size(); ++i) {
    std::printf("  %s %5.1f %3.0f%% (median %3.0f%%)", NameOf(isas[i]), bytes / BestOf(times[i]),
                100 * BestOf(reads) / BestOf(times[i]), MedianOf(shares[i]));
  }
  std::printf("\n");
  std::fflush(stdout);
}

int Main(const Options& options) {
  const int64_t bytes = options.mib << 20;
  void* const memory =
      mmap(nullptr, bytes + (2 << 20), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    std::fprintf(stderr, "no memory\n");
    return 1;
  }
  madvise(memory, bytes + (2 << 20), options.huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  auto* const pool = static_cast<uint8_t*>(memory);
  std::string filled;
  ReadLoop loop{};
  for (const Shape& shape : Shapes()) {
    if (NameOf(shape).find(options.match) == std::string::npos) continue;
    if (Problem::BytesOfSequence(shape) > bytes) {
      std::fprintf(stderr, "%s needs more than --mib %ld\n", NameOf(shape).c_str(),
                   static_cast<long>(options.mib));
      return 2;
    }
    if (filled != shape.format.name) {
      Fill(shape.format.element, shape.format.cache, 7, pool, bytes);
      if (filled.empty()) loop = BestReadLoop(pool, bytes);
      filled = shape.format.name;
    }
    Bench(shape, options, loop, pool, bytes);
  }
  if (filled.empty()) {
    std::fprintf(stderr, "--match %s: no shape has that in its name\n", options.match.c_str());
    return 2;
  }
  return 0;
}

}  // namespace
}  // namespace stablekv::bench

int main(int argc, char** argv) {
  stablekv::bench::Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--huge") {
      options.huge = true;
      continue;
    }
    const char* const value = i + 1 < argc ? argv[++i] : nullptr;
    if (value != nullptr && name == "--mib") {
      options.mib = std::atoll(value);
    } else if (value != nullptr && name == "--rounds") {
      options.rounds = std::max(1LL, std::atoll(value));
    } else if (value != nullptr && name == "--match") {
      options.match = value;
    } else if (value != nullptr && name == "--isa") {
      options.isa = value;
    } else {
      std::fprintf(stderr, "%s: unknown, or without its value\n", name.c_str());
      return 2;
    }
  }
  return stablekv::bench::Main(options);
}
