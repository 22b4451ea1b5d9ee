// Times paged_attention_v1 and _v2 on the shapes of a list, next to a pure read of the same bytes
// and to fetching the same pages in the order of the block tables. Every answer is compared with a
// plain kernel in float32 before it is timed.
//   decode_bench [--largest MIB] [--match TEXT] [--sweep] [--behind kernel|write]
//                [--plan CLUSTER,SPLITS,SHARES]
// A call follows another one like it, or
//   --behind kernel  an empty kernel that nothing overlaps, whose time is taken off
//   --behind write   reshape_and_cache of each sequence's last token, whose time counts
// With --plan, a plan runs three times and nothing is timed: for a profiler.
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
#include "benchmarks/cuda/decode_inputs.cuh"
#include "benchmarks/cuda/decode_shapes.h"
#include "benchmarks/cuda/gather_limit.h"
#include "csrc/kernels/attention/cuda/mma/mma_attention.h"
#include "csrc/kernels/attention/cuda/share_plan.h"
#include "csrc/kernels/attention/paged_attention.h"
#include "csrc/kernels/common/divide.h"

namespace stablekv::bench {
namespace {

enum class Behind { kLikeIt, kKernel, kWrite };

Behind behind = Behind::kLikeIt;

__global__ void EmptyKernel() {}

// Of a call that follows what is to be in front of it.
double MicrosecondsOfCall(const Run& run, const std::function<void(int64_t, cudaStream_t)>& call) {
  const auto empty = [](int64_t, cudaStream_t stream) { EmptyKernel<<<1, 32, 0, stream>>>(); };
  const double time = MicrosecondsOf(run.copies(), [&](int64_t copy, cudaStream_t stream) {
    if (behind == Behind::kKernel) empty(copy, stream);
    if (behind == Behind::kWrite) run.WriteLastTokens(copy, stream);
    call(copy, stream);
  });
  return behind == Behind::kKernel ? time - MicrosecondsOf(run.copies(), empty) : time;
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
  return MicrosecondsOfCall(
      run, [&](int64_t copy, cudaStream_t stream) { MustBeOk(attend(run.Params(copy), stream)); });
}

// A name for a plan: CTAs of a cluster x splits, and what else it says.
std::string PlanText(const SplitPlan& plan) {
  if (plan.num_shares > 0) {
    return std::to_string(plan.num_shares) + (plan.fills_shares ? " shares, filled" : " shares");
  }
  std::string text =
      "c" + std::to_string(plan.cluster_size) + "x" + std::to_string(plan.num_splits);
  if (plan.log_items_per_cta > 0) text += " of " + std::to_string(1 << plan.log_items_per_cta);
  return text;
}

// What SetRoom() goes by.
SplitWork RoomFor(int64_t items, const MmaDevice& device) {
  SplitWork work = {};
  work.items = items;
  work.num_processors = device.processors;
  work.has_clusters = true;
  return work;
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
    for (const bool short_rings : {false, true}) {
      SplitPlan plan = {1, 1, false, short_rings, 0, static_cast<int>(shares), false};
      if (params.num_seqs > kMostSharing || shares <= params.num_seqs / 4 ||
          RowsOf(plan, params.num_seqs) > rows) {
        continue;
      }
      for (const bool fills : {false, true}) {
        plan.fills_shares = fills;
        plans.push_back(plan);
      }
    }
  }
  for (SplitPlan& plan : plans) SetRoom(RoomFor(items, device), &plan);
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

std::string one_plan;

void Bench(const Shape& shape, uint8_t* pool, bool sweep) {
  Run run(shape, pool);
  MmaDevice device;
  MustBeOk(MmaDevice::OfCurrent(&device));
  if (!one_plan.empty()) {
    SplitPlan plan = {1, 1, false, false, 0, 0};
    std::sscanf(one_plan.c_str(), "%d,%d,%d", &plan.cluster_size, &plan.num_splits,
                &plan.num_shares);
    plan.short_rings = plan.cluster_size <= 2;
    SetRoom(RoomFor(shape.batch * shape.num_kv_heads, device), &plan);
    for (int i = 0; i < 3; ++i) {  // for a profiler to choose from
      MustBeOk(LaunchMmaAttention(run.Params(i % run.copies()), &run.scratch(), plan, nullptr));
    }
    Must(cudaDeviceSynchronize(), "plan");
    return;
  }
  if (behind == Behind::kWrite) {  // the tokens are then the same ever after
    for (int64_t copy = 0; copy < run.copies(); ++copy) run.WriteLastTokens(copy, nullptr);
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
    const std::string flag = argv[i];
    if (flag == "--sweep") {
      sweep = true;
      continue;
    }
    const std::string value = i + 1 < argc ? argv[++i] : "";
    if (flag == "--behind" && (value == "kernel" || value == "write")) {
      b::behind = value == "write" ? b::Behind::kWrite : b::Behind::kKernel;
    } else if (flag == "--plan") {
      b::one_plan = value;
    } else if (flag == "--largest") {
      largest = std::atoll(value.c_str());
    } else if (flag == "--match") {
      match = value;
    } else {
      std::fprintf(stderr, "%s %s: no such flag, or not with that value\n", flag.c_str(),
                   value.c_str());
      return 2;
    }
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
  if (shapes.empty()) {
    std::fprintf(stderr, "--match \"%s\" --largest %ld: no such shape; they are called like %s\n",
                 match.c_str(), static_cast<long>(largest), "\" a B16 ctx512 fp8 \"");
    return 2;
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
