// Paged attention begins while the kernel before it runs, and guesses then. What it reads is
// written by that kernel here, at its very end.
#include <algorithm>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "csrc/kernels/attention/cuda/decode_case.h"
#include "csrc/kernels/attention/cuda/device_input.h"
#include "csrc/kernels/attention/cuda/mma/mma_attention.h"
#include "csrc/kernels/attention/paged_attention.h"
#include "csrc/kernels/common/cuda/launch_config.h"
#include "csrc/kernels/common/cuda/overlap.cuh"
#include "csrc/kernels/common/cuda/test_support.h"
#include "csrc/kernels/common/divide.h"

namespace stablekv::testing {
namespace {

struct Late {
  uint8_t* target;
  const uint8_t* source;
  int64_t bytes;
};
struct LateWrites {
  Late of[5];
};

constexpr long long kClocks = 200'000;  // some 100 us, in which all that can begin does

__global__ void WriteLate(LateWrites writes) {
  WaitForEarlierKernels();
  LetNextKernelStart();
  const long long begin = clock64();
  while (clock64() - begin < kClocks) {
  }
  for (const Late& late : writes.of) {
    for (int64_t i = threadIdx.x; i < late.bytes; i += blockDim.x) late.target[i] = late.source[i];
  }
}

// The inputs in two places: where attention reads them, and where they are until then.
class LateInput {
 public:
  LateInput(const DecodeCase& c, const DecodeInput& input) : early_(c, input), late_(c, input) {
    const DeviceBytes* const targets[] = {&early_.query(), &early_.key_cache(),
                                          &early_.value_cache(), &early_.tables(),
                                          &early_.lengths()};
    const DeviceBytes* const sources[] = {&late_.query(), &late_.key_cache(), &late_.value_cache(),
                                          &late_.tables(), &late_.lengths()};
    for (int i = 0; i < 5; ++i) {
      writes_.of[i] = {targets[i]->As<uint8_t>(), sources[i]->As<uint8_t>(),
                       static_cast<int64_t>(targets[i]->Read().size())};
    }
    // Other lengths and pages, which are there, and no numbers.
    Random random(5);
    for (const int32_t length : c.lengths) {
      wrong_lengths_.push_back(
          static_cast<int32_t>((length * int64_t{7} + 300) % (input.params.max_seq_len + 1)));
    }
    for (size_t i = 0; i < input.tables.size(); ++i) {
      wrong_tables_.push_back(static_cast<int32_t>(random.Below(input.params.num_blocks)));
    }
  }

  void SetPointers(PagedAttentionParams* params) const { early_.SetPointers(params); }

  // Makes all wrong, then right on the stream.
  void Write() const {
    for (int i = 0; i < 3; ++i) {
      Must(cudaMemset(writes_.of[i].target, 0xff, writes_.of[i].bytes), "no numbers");
    }
    Must(cudaMemcpy(writes_.of[3].target, wrong_tables_.data(), writes_.of[3].bytes,
                    cudaMemcpyHostToDevice),
         "tables");
    Must(cudaMemcpy(writes_.of[4].target, wrong_lengths_.data(), writes_.of[4].bytes,
                    cudaMemcpyHostToDevice),
         "lengths");
    Must(cudaDeviceSynchronize(), "wrong inputs");
    const Status status =
        LaunchOverlapping("write_late", WriteLate, dim3(1), dim3(1024), nullptr, writes_);
    Expect(status.ok(), status.message());
  }

 private:
  DeviceInput early_, late_;
  LateWrites writes_;
  std::vector<int32_t> wrong_lengths_, wrong_tables_;
};

// Rows for v1 and v2, which are there before anything is launched.
class Scratch {
 public:
  explicit Scratch(const PagedAttentionParams& params)
      : partitions_(CeilDivide(params.max_seq_len, kPartitionSize)),
        element_(params.element),
        rows_(params.num_seqs * params.num_heads * partitions_),
        sums_(4 * rows_),
        maxima_(4 * rows_),
        out_(2 * rows_ * params.head_size),
        bytes_(kBytes) {}

  PagedAttentionScratch of_v2() const {
    return {sums_.As<float>(), maxima_.As<float>(), out_.As<void>(), partitions_, element_};
  }
  ScratchMemory of_v1() {
    return {[](int64_t bytes, void* context) -> void* {
              auto* const self = static_cast<Scratch*>(context);
              Expect(bytes <= kBytes, "enough scratch");
              return self->bytes_.As<void>();
            },
            this};
  }

 private:
  static constexpr int64_t kBytes = int64_t{64} << 20;

  int64_t partitions_;
  ElementType element_;
  int64_t rows_;
  DeviceBytes sums_, maxima_, out_, bytes_;
};

// What the plan does, so that the cases are known to have all kinds.
std::string KindOf(const SplitPlan& plan) {
  if (plan.num_shares > 0) return "shares";
  if (plan.longest_first) return "order";
  if (plan.log_items_per_cta > 0) return "small items";
  return std::string(plan.cluster_size > 1 ? "clusters" : "") +
         (plan.num_splits > 1 ? "splits" : "");
}

// Returns the kinds of plans that ran.
std::set<std::string> Run(const DecodeCase& c) {
  const DecodeInput input(c);
  const LateInput late(c, input);
  PagedAttentionParams params = input.params;
  late.SetPointers(&params);
  MmaDevice device;
  Expect(MmaDevice::OfCurrent(&device).ok(), "device");
  Expect(MmaCovers(params, device) || device.code_arch < 80, c.Describe() + ": not covered");
  Scratch scratch(params);
  const DeviceBytes out(params.num_seqs * params.out_seq_stride * input.ElementBytes());
  params.out = out.As<void>();
  std::set<std::string> kinds;
  for (int version = 0; version < 3; ++version) {
    kinds.insert(KindOf(MmaPlanFor(params, /*has_scratch=*/version != 0, device)));
    std::vector<uint8_t> expected;
    for (const bool waits : {true, false, false}) {
      late.Write();
      if (waits) Must(cudaDeviceSynchronize(), "right inputs");
      const Status status = version == 0   ? PagedAttentionV1Cuda(params, {}, nullptr)
                            : version == 1 ? PagedAttentionV1Cuda(params, scratch.of_v1(), nullptr)
                                           : PagedAttentionV2Cuda(params, scratch.of_v2(), nullptr);
      Expect(status.ok(), c.Describe() + ": " + status.message());
      Must(cudaDeviceSynchronize(), "attention");
      const std::vector<uint8_t> got = out.Read();
      if (waits) expected = got;
      Expect(got == expected, c.Describe() + ", version " + std::to_string(version) +
                                  ": another result while its inputs are written");
    }
  }
  return kinds;
}

std::vector<int32_t> Lengths(int count, int most) {
  std::vector<int32_t> lengths;
  for (int s = 0; s < count; ++s) lengths.push_back((s * 37 + 11) % 64 * most / 64 + 1);
  return lengths;
}

std::vector<DecodeCase> Cases() {
  struct Work {
    int64_t kv_heads, group;
    int num_seqs, longest;
    int64_t max_seq_len;
  };
  std::vector<DecodeCase> cases;
  for (const CacheType cache : {CacheType::kAuto, CacheType::kFp8E4M3}) {
    for (const Work& work :
         {Work{8, 4, 3, 500, 512}, Work{1, 8, 1, 300'000, 4096}, Work{1, 8, 3, 4000, 20'000},
          Work{4, 4, 2, 3000, 131'072}, Work{1, 8, 16, 2000, 20'000}, Work{2, 4, 40, 1000, 9000},
          Work{5, 4, 64, 500, 4096}, Work{8, 4, 64, 500, 512}, Work{8, 4, 16, 500, 512}}) {
      DecodeCase c;
      c.element = ElementType::kBFloat16;
      c.cache = cache;
      c.head_size = 128;
      c.group = work.group;
      c.num_kv_heads = work.kv_heads;
      c.lengths = Lengths(work.num_seqs, work.longest);
      for (int32_t& length : c.lengths) {
        length = static_cast<int32_t>(std::min<int64_t>(length, work.max_seq_len));
      }
      c.max_seq_len = work.max_seq_len;
      cases.push_back(c);
    }
  }
  return cases;
}

}  // namespace
}  // namespace stablekv::testing

int main() {
  namespace t = stablekv::testing;
  if (!t::HaveDevice("late_inputs_cuda_test")) return 0;
  const std::vector<t::DecodeCase> cases = t::Cases();
  std::set<std::string> kinds;
  for (const t::DecodeCase& c : cases) kinds.merge(t::Run(c));
  stablekv::MmaDevice device;
  t::Expect(stablekv::MmaDevice::OfCurrent(&device).ok(), "device");
  if (device.code_arch >= 90) {
    for (const char* kind :
         {"", "splits", "clusters", "clusterssplits", "shares", "order", "small items"}) {
      t::Expect(kinds.count(kind) == 1, std::string("a case with '") + kind + "'");
    }
  }
  return t::Report("late_inputs_cuda_test", 3 * static_cast<int>(cases.size()));
}
