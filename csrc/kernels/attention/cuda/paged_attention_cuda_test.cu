// paged_attention_v1 and _v2 on CUDA against a naive loop in float64. `--quick` runs a short list,
// for tools that slow a program down.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "csrc/kernels/attention/cuda/decode_case.h"
#include "csrc/kernels/attention/cuda/decode_cases.h"
#include "csrc/kernels/attention/cuda/device_input.h"
#include "csrc/kernels/attention/paged_attention.h"
#include "csrc/kernels/common/cuda/test_support.h"

namespace stablekv::testing {
namespace {

// How far a result may be off, relative to the answer and to the sum of magnitudes: half a unit in
// the last place of the output, and float32 arithmetic. v2 rounds each partition too.
struct Tolerance {
  double relative;
  double of_magnitude;
  double absolute;
};
Tolerance ToleranceOf(ElementType element, bool partitioned) {
  const double half_unit = element == ElementType::kFloat32   ? std::ldexp(1.0, -24)
                           : element == ElementType::kFloat16 ? std::ldexp(1.0, -11)
                                                              : std::ldexp(1.0, -8);
  // Below 2^-14 the unit of float16 stays what it is there.
  const double half_smallest = element == ElementType::kFloat16 ? std::ldexp(1.0, -25) : 0.0;
  return {1.02 * half_unit, 1e-5 + (partitioned ? half_unit : 0.0), 1.02 * half_smallest};
}

enum class Version { kV1, kV1WithScratch, kV2 };

constexpr Version kVersions[] = {Version::kV1, Version::kV1WithScratch, Version::kV2};

std::string NameOf(Version version) {
  return version == Version::kV1 ? "v1" : version == Version::kV2 ? "v2" : "v1 with scratch";
}

// Scratch for v1, full of NaN, and bytes behind it that are not to be written.
class GuardedScratch {
 public:
  ScratchMemory memory() {
    return {[](int64_t bytes, void* context) -> void* {
              auto* const self = static_cast<GuardedScratch*>(context);
              Expect(self->bytes_ == nullptr, "scratch is asked for once");
              self->size_ = bytes;
              self->bytes_.reset(new DeviceBytes(std::vector<uint8_t>(bytes + kGuard, 0xff)));
              return self->bytes_->data();
            },
            this};
  }

  bool WasAskedFor() const { return bytes_ != nullptr; }

  void Check(const std::string& name) const {
    if (bytes_ == nullptr) return;
    const std::vector<uint8_t> all = bytes_->Read();
    Expect(std::all_of(all.begin() + size_, all.end(), [](uint8_t byte) { return byte == 0xff; }),
           name + ": wrote past its scratch");
  }

 private:
  static constexpr int64_t kGuard = 4096;
  std::unique_ptr<DeviceBytes> bytes_;
  int64_t size_ = 0;
};

Status RunV2(const DecodeCase& c, const PagedAttentionParams& params) {
  const int64_t partitions = (params.max_seq_len + kPartitionSize - 1) / kPartitionSize;
  const int64_t rows = params.num_seqs * params.num_heads * partitions;
  const int64_t bytes = SizeOf(c.element);
  const DeviceBytes exp_sums(std::vector<float>(rows, NAN));
  const DeviceBytes max_logits(std::vector<float>(rows, NAN));
  const DeviceBytes tmp_out(std::vector<uint8_t>(rows * params.head_size * bytes, 0xff),
                            c.misalign * bytes);
  const PagedAttentionScratch scratch = {exp_sums.As<float>(), max_logits.As<float>(),
                                         tmp_out.data(), partitions, c.element};
  const Status status = PagedAttentionV2Cuda(params, scratch, nullptr);
  Must(cudaDeviceSynchronize(), "synchronisation");  // before the scratch goes
  return status;
}

// To its end.
Status RunVersion(const DecodeCase& c, const PagedAttentionParams& params, Version version) {
  if (version == Version::kV2) return RunV2(c, params);
  GuardedScratch scratch;
  const Status status = PagedAttentionV1Cuda(
      params, version == Version::kV1 ? ScratchMemory{} : scratch.memory(), nullptr);
  Must(cudaDeviceSynchronize(), "synchronisation");
  scratch.Check(NameOf(version) + " " + c.Describe());
  return status;
}

// Runs one version into an output full of NaN, and compares all of it, gaps too.
void CheckVersion(const DecodeCase& c, const DecodeInput& input, PagedAttentionParams params,
                  Version version, const std::vector<std::vector<double>>& answers,
                  const std::vector<std::vector<double>>& magnitudes) {
  const std::string name = NameOf(version) + " " + c.Describe();
  const int64_t bytes = input.ElementBytes();
  const std::vector<uint8_t> untouched(params.num_seqs * params.out_seq_stride * bytes, 0xff);
  const DeviceBytes out(untouched, c.misalign * bytes);
  params.out = out.data();
  const Status status = RunVersion(c, params, version);
  Expect(status.ok(), name + ": " + status.message());

  const Tolerance tolerance = ToleranceOf(c.element, version == Version::kV2);
  std::vector<uint8_t> got = out.Read();
  for (int64_t s = 0; s < params.num_seqs; ++s) {
    for (int64_t h = 0; h < params.num_heads; ++h) {
      const std::vector<double>& answer = answers[s * params.num_heads + h];
      const std::vector<double>& magnitude = magnitudes[s * params.num_heads + h];
      for (int64_t d = 0; d < params.head_size; ++d) {
        const int64_t i = s * params.out_seq_stride + h * params.out_head_stride + d;
        const double value = DecodeElement(c.element, GetBits(got, i, bytes));
        const double allowed = tolerance.relative * std::fabs(answer[d]) +
                               tolerance.of_magnitude * magnitude[d] + tolerance.absolute;
        Expect(std::fabs(value - answer[d]) <= allowed, [&] {
          return name + ": [" + std::to_string(s) + "," + std::to_string(h) + "," +
                 std::to_string(d) + "] is " + std::to_string(value) + ", want " +
                 std::to_string(answer[d]) + " +- " + std::to_string(allowed);
        });
        SetBits(&got, i, bytes, 0xffffffffu);
      }
    }
  }
  Expect(got == untouched, name + ": wrote between the rows of the output");
}

void Run(const DecodeCase& c) {
  const DecodeInput input(c);
  const DeviceInput device(c, input);
  std::vector<std::vector<double>> answers;
  std::vector<std::vector<double>> magnitudes;
  input.AllAnswers(&answers, &magnitudes);
  PagedAttentionParams params = input.params;
  device.SetPointers(&params);
  for (const Version version : kVersions) {
    CheckVersion(c, input, params, version, answers, magnitudes);
  }
}

// The bytes that a version gives, which must not depend on what ran when.
std::vector<uint8_t> OutputOf(const DecodeCase& c, const DecodeInput& input,
                              PagedAttentionParams params, Version version) {
  const DeviceBytes out(
      std::vector<uint8_t>(params.num_seqs * params.out_seq_stride * input.ElementBytes(), 0xff));
  params.out = out.data();
  const Status status = RunVersion(c, params, version);
  Expect(status.ok(), "repeated run: " + status.message());
  return out.Read();
}

// One CTA an item, clusters, shares with a reduction, and items in the order of their lengths.
int TestRepeats(bool quick) {
  int count = 0;
  for (const CacheType cache : {CacheType::kAuto, CacheType::kFp8E4M3}) {
    for (const int64_t num_seqs : {1, 2, 16, 64}) {
      if (quick && num_seqs > 2) continue;
      DecodeCase c;
      c.element = ElementType::kBFloat16;
      c.cache = cache;
      c.head_size = 128;
      c.group = 4;
      c.num_kv_heads = num_seqs == 64 ? 5 : 1;
      c.lengths.clear();
      for (int64_t s = 0; s < num_seqs; ++s) {
        c.lengths.push_back(static_cast<int32_t>((s * 37 + 11) % 64 * (quick ? 20 : 60)));
      }
      c.max_seq_len = num_seqs == 2 || num_seqs == 16 ? 20'000 : 4096;
      const DecodeInput input(c);
      const DeviceInput device(c, input);
      PagedAttentionParams params = input.params;
      device.SetPointers(&params);
      for (const Version version : kVersions) {
        const std::vector<uint8_t> first = OutputOf(c, input, params, version);
        for (int i = 0; i < (quick ? 2 : 20); ++i) {
          Expect(OutputOf(c, input, params, version) == first,
                 c.Describe() + ": another result the second time");
        }
        ++count;
      }
    }
  }
  return count;
}

// Everything is skipped: no local blocks, and no vertical one that fits.
int TestAllSkipped() {
  DecodeCase c;
  c.element = ElementType::kBFloat16;
  c.lengths = {40, 1000};
  c.group = 4;
  c.sparse = {/*tp_rank=*/0, /*local_blocks=*/0, /*vert_stride=*/1000, /*block_size=*/16,
              /*head_sliding_step=*/0};
  Run(c);
  return 1;
}

// Copies the blocks of a cache into one whose blocks lie `stride` bytes apart.
void SpreadBlocks(const std::vector<uint8_t>& cache, int64_t num_blocks, int64_t stride,
                  const DeviceBytes& spread) {
  const int64_t block = static_cast<int64_t>(cache.size()) / num_blocks;
  for (int64_t b = 0; b < num_blocks; ++b) {
    Must(cudaMemcpy(spread.As<uint8_t>() + b * stride, cache.data() + b * block, block,
                    cudaMemcpyHostToDevice),
         "copy of a block");
  }
}

// Blocks so far apart that offsets need 64 bits.
int TestFarBlocks() {
  DecodeCase c;
  c.cache = CacheType::kFp8E4M3;
  c.lengths = {40};
  const DecodeInput input(c);
  const int64_t stride = (int64_t{1} << 31) + 16;
  const size_t bytes = input.params.num_blocks * stride;
  if (!HaveMemory("far blocks", 2 * bytes + (size_t{1} << 30))) return 0;
  const DeviceBytes key_cache(bytes);
  const DeviceBytes value_cache(bytes);
  SpreadBlocks(input.key_cache, input.params.num_blocks, stride, key_cache);
  SpreadBlocks(input.value_cache, input.params.num_blocks, stride, value_cache);
  const DeviceInput device(c, input);
  std::vector<std::vector<double>> answers;
  std::vector<std::vector<double>> magnitudes;
  input.AllAnswers(&answers, &magnitudes);
  PagedAttentionParams params = input.params;
  device.SetPointers(&params);
  params.key_cache = key_cache.data();
  params.value_cache = value_cache.data();
  params.key_cache_block_stride = stride;
  params.value_cache_block_stride = stride;
  for (const Version version : kVersions) {
    CheckVersion(c, input, params, version, answers, magnitudes);
  }
  return 3;
}

// A few rows of long sequences have scratch, unless it would be very much.
int TestScratchIsBounded() {
  for (const bool bounded : {false, true}) {
    DecodeCase c;
    c.element = ElementType::kFloat32;  // the general kernel, which has a row a partition
    c.head_size = 128;
    c.group = 32;
    c.num_kv_heads = 1;
    c.lengths.assign(16, 5);
    c.max_seq_len = bounded ? 600'000 : 16'384;
    const DecodeInput input(c);
    const DeviceInput device(c, input);
    PagedAttentionParams params = input.params;
    device.SetPointers(&params);
    const DeviceBytes out(params.num_seqs * params.out_seq_stride * input.ElementBytes());
    params.out = out.data();
    GuardedScratch scratch;
    const Status status = PagedAttentionV1Cuda(params, scratch.memory(), nullptr);
    Must(cudaDeviceSynchronize(), "synchronisation");
    Expect(status.ok(), "bounded scratch: " + status.message());
    Expect(scratch.WasAskedFor() != bounded, c.Describe() + ": whether scratch is asked for");
  }
  return 2;
}

void ExpectError(const Status& status, const std::string& what) {
  Expect(status.message().find(what) != std::string::npos,
         "'" + status.message() + "' names " + what);
}

int TestErrors() {
  const DecodeInput input((DecodeCase()));
  PagedAttentionParams params = input.params;
  params.head_size = 48;
  ExpectError(PagedAttentionV1Cuda(params, {}, nullptr), "head_size 48");
  params = input.params;
  params.block_size = 64;
  ExpectError(PagedAttentionV2Cuda(params, {}, nullptr), "block_size 64");
  params = input.params;
  params.head_size = 120;
  params.cache = CacheType::kFp8E4M3;
  ExpectError(PagedAttentionV1Cuda(params, {}, nullptr), "head_size 120");
  return 3;
}

}  // namespace
}  // namespace stablekv::testing

int main(int argc, char** argv) {
  namespace t = stablekv::testing;
  if (!t::HaveDevice("paged_attention_cuda_test")) return 0;
  const bool quick = argc > 1 && std::strcmp(argv[1], "--quick") == 0;
  const std::vector<t::DecodeCase> cases = t::DecodeCases(quick);
  for (const t::DecodeCase& c : cases) t::Run(c);
  int others = t::TestAllSkipped() + t::TestErrors() + t::TestRepeats(quick);
  others += t::TestScratchIsBounded();
  if (!quick) others += t::TestFarBlocks();
  return t::Report("paged_attention_cuda_test", 3 * static_cast<int>(cases.size()) + others);
}
