// Number formats on the device against their definitions, launch errors, and copies to the host.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "csrc/kernels/common/cuda/code_arch.h"
#include "csrc/kernels/common/cuda/fp8.cuh"
#include "csrc/kernels/common/cuda/launch.h"
#include "csrc/kernels/common/cuda/number_format.cuh"
#include "csrc/kernels/common/cuda/test_support.h"
#include "csrc/kernels/common/fp4.h"
#include "csrc/kernels/common/fp8.h"
#include "csrc/kernels/common/host_copy.h"

namespace stablekv::testing {
namespace {

__global__ void EncodeKernel(const float* in, uint8_t* e4m3, uint8_t* e5m2, uint8_t* e4m3_integer,
                             uint8_t* e5m2_integer, int64_t count) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= count) return;
  e4m3[i] = Fp8Format<4>::Encode(in[i]);
  e5m2[i] = Fp8Format<5>::Encode(in[i]);
  e4m3_integer[i] = FloatToFp8E4M3(in[i]);
  e5m2_integer[i] = FloatToFp8E5M2(in[i]);
}

// Every 4 codes as one word.
template <typename Format>
__global__ void DecodeKernel(float* out) {
  const uint32_t first = 4 * threadIdx.x;
  Format::DecodeWord(first | (first + 1) << 8 | (first + 2) << 16 | (first + 3) << 24, out + first);
}

// Each number in the low half, and its neighbour in the high one.
__global__ void EncodeFp4Kernel(const float* in, uint8_t* pairs, int64_t count) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < count) pairs[i] = FloatPairToFp4E2M1(in[i], in[i + 1 < count ? i + 1 : 0]);
}

__global__ void NothingKernel() {}

__global__ void ArchKernel(int* arch) {
#ifdef __CUDA_ARCH__
  *arch = __CUDA_ARCH__ / 10;
#endif
}

// All float32 that bfloat16 has, all midpoints between fp8 neighbours and what lies around them,
// and random bits.
std::vector<float> Numbers() {
  std::vector<float> numbers;
  for (uint32_t high = 0; high < 0x10000; ++high) {
    numbers.push_back(DecodeElement(ElementType::kBFloat16, high));
  }
  for (const CacheType cache : {CacheType::kFp8E4M3, CacheType::kFp8E5M2}) {
    const int largest = cache == CacheType::kFp8E4M3 ? 0x7e : 0x7b;
    for (int code = 0; code <= largest; ++code) {
      // Past the largest, where the next step would be.
      const double below = DecodeFp8(cache, static_cast<uint8_t>(code));
      const double above = code < largest
                               ? DecodeFp8(cache, static_cast<uint8_t>(code + 1))
                               : 2 * below - DecodeFp8(cache, static_cast<uint8_t>(code - 1));
      const float middle = static_cast<float>((below + above) / 2);
      for (const float x : {middle, std::nextafter(middle, 0.0f), std::nextafter(middle, 1e9f)}) {
        numbers.push_back(x);
        numbers.push_back(-x);
      }
    }
  }
  Random random(1);
  for (int i = 0; i < 50000; ++i) {
    numbers.push_back(
        DecodeElement(ElementType::kFloat32, static_cast<uint32_t>(random.Next() >> 32)));
  }
  return numbers;
}

int TestEncode() {
  const std::vector<float> numbers = Numbers();
  const int64_t count = static_cast<int64_t>(numbers.size());
  const DeviceBytes in(numbers);
  const DeviceBytes out[4] = {DeviceBytes(count), DeviceBytes(count), DeviceBytes(count),
                              DeviceBytes(count)};
  const Status status = LaunchKernel<const float*, uint8_t*, uint8_t*, uint8_t*, uint8_t*, int64_t>(
      "encode", EncodeKernel, dim3(static_cast<unsigned>((count + 255) / 256)), dim3(256), nullptr,
      in.As<float>(), out[0].As<uint8_t>(), out[1].As<uint8_t>(), out[2].As<uint8_t>(),
      out[3].As<uint8_t>(), count);
  Expect(status.ok(), status.message());
  for (int k = 0; k < 4; ++k) {
    const CacheType cache = k % 2 == 0 ? CacheType::kFp8E4M3 : CacheType::kFp8E5M2;
    const std::vector<uint8_t> got = out[k].Read();
    for (int64_t i = 0; i < count; ++i) {
      const uint8_t want = EncodeFp8(cache, numbers[i]);
      Expect(got[i] == want, [&] {
        return std::string(k < 2 ? "" : "integer ") + Name(cache) + " of " +
               std::to_string(numbers[i]) + " is " + std::to_string(got[i]) + ", want " +
               std::to_string(want);
      });
    }
  }
  return 4;
}

int TestDecode() {
  for (const CacheType cache : {CacheType::kFp8E4M3, CacheType::kFp8E5M2}) {
    const DeviceBytes out(256 * sizeof(float));
    const Status status = LaunchKernel<float*>(
        "decode",
        cache == CacheType::kFp8E4M3 ? DecodeKernel<Fp8Format<4>> : DecodeKernel<Fp8Format<5>>,
        dim3(1), dim3(64), nullptr, out.As<float>());
    Expect(status.ok(), status.message());
    const std::vector<uint8_t> bytes = out.Read();
    for (int code = 0; code < 256; ++code) {
      const float got = DecodeElement(ElementType::kFloat32, GetBits(bytes, code, 4));
      const double want = DecodeFp8(cache, static_cast<uint8_t>(code));
      const bool same = std::isnan(want) ? std::isnan(got)
                                         : got == want && std::signbit(got) == std::signbit(want);
      Expect(same, std::string(Name(cache)) + " code " + std::to_string(code) + " is " +
                       std::to_string(got) + ", want " + std::to_string(want));
    }
  }
  return 2;
}

// The e2m1 code nearest to `x`, by trying all; ties to the even code, saturating, NaN as 6.
uint32_t EncodeFp4(float x) {
  const float values[] = {0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f};
  if (std::isnan(x)) return 7;
  const double magnitude = std::fmin(std::fabs(static_cast<double>(x)), 6.0);
  uint32_t best = 0;
  for (uint32_t code = 1; code < 8; ++code) {
    const double nearer = std::fabs(magnitude - values[best]) - std::fabs(magnitude - values[code]);
    if (nearer > 0 || (nearer == 0 && code % 2 == 0)) best = code;
  }
  return best | (std::signbit(x) ? 8u : 0u);
}

// By Blackwell's instruction, where the code has it.
int TestEncodeFp4() {
  std::vector<float> numbers = Numbers();
  for (int eighths = 0; eighths <= 64; ++eighths) {  // all values, all ties, and between
    const float x = static_cast<float>(eighths) / 8;
    for (const float near : {x, std::nextafter(x, 0.0f), std::nextafter(x, 9.0f)}) {
      numbers.push_back(near);
      numbers.push_back(-near);
    }
  }
  const int64_t count = static_cast<int64_t>(numbers.size());
  const DeviceBytes in(numbers);
  const DeviceBytes out(count);
  const Status status = LaunchKernel<const float*, uint8_t*, int64_t>(
      "encode_fp4", EncodeFp4Kernel, dim3(static_cast<unsigned>((count + 255) / 256)), dim3(256),
      nullptr, in.As<float>(), out.As<uint8_t>(), count);
  Expect(status.ok(), status.message());
  const std::vector<uint8_t> got = out.Read();
  for (int64_t i = 0; i < count; ++i) {
    const float next = numbers[i + 1 < count ? i + 1 : 0];
    const uint32_t want = EncodeFp4(numbers[i]) | EncodeFp4(next) << 4;
    Expect(got[i] == want, [&] {
      return "e2m1 of " + std::to_string(numbers[i]) + " and " + std::to_string(next) + " is " +
             std::to_string(got[i]) + ", want " + std::to_string(want);
    });
  }
  return 1;
}

int TestHostCopies() {
  const std::vector<int64_t> numbers = {3, -1, INT64_MAX};
  const DeviceBytes device(numbers);
  HostCopies copies(nullptr);
  const int64_t* elements = device.As<int64_t>();
  const Status fetched = copies.Fetch(&elements, 3);
  Expect(fetched.ok(), fetched.message());
  Expect(std::equal(numbers.begin(), numbers.end(), elements), "what was on the device");

  cudaStream_t stream = nullptr;
  Must(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreate");
  for (const bool want : {false, true}) {
    if (want) Must(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed), "capture");
    bool capturing = !want;
    const Status asked = IsCapturing(stream, &capturing);
    Expect(asked.ok() && capturing == want, "capturing: " + asked.message());
  }
  cudaGraph_t graph = nullptr;
  Must(cudaStreamEndCapture(stream, &graph), "end of the capture");
  Must(cudaGraphDestroy(graph), "cudaGraphDestroy");
  Must(cudaStreamDestroy(stream), "cudaStreamDestroy");
  return 3;
}

int TestCodeArch() {
  const DeviceBytes arch(sizeof(int));
  const Status status =
      LaunchKernel<int*>("arch", ArchKernel, dim3(1), dim3(1), nullptr, arch.As<int>());
  Expect(status.ok(), status.message());
  const int want = static_cast<int>(GetBits(arch.Read(), 0, sizeof(int)));
  for (const char* call : {"first", "second"}) {
    Expect(CodeArch() == want, std::string(call) + " call: " + std::to_string(CodeArch()) +
                                   ", the code says " + std::to_string(want));
  }
  return 2;
}

int TestLaunchErrors() {
  const Status bad = LaunchKernel<>("nothing", NothingKernel, dim3(1), dim3(4096), nullptr);
  Expect(!bad.ok(), "a launch with 4096 threads is refused");
  Expect(bad.message().find("nothing") != std::string::npos, "names the kernel: " + bad.message());
  Expect(bad.message().find(cudaGetErrorString(cudaErrorInvalidValue)) != std::string::npos ||
             bad.message().find(cudaGetErrorString(cudaErrorInvalidConfiguration)) !=
                 std::string::npos,
         "names the reason: " + bad.message());
  Expect(cudaPeekAtLastError() == cudaSuccess, "the error does not stay behind");

  void* memory = nullptr;
  Expect(cudaMalloc(&memory, size_t{1} << 60) != cudaSuccess, "an exbibyte is refused");
  const Status good = LaunchKernel<>("nothing", NothingKernel, dim3(1), dim3(32), nullptr);
  Expect(good.ok(), "is not blamed for an earlier error: " + good.message());
  (void)cudaGetLastError();
  return 2;
}

}  // namespace
}  // namespace stablekv::testing

int main() {
  namespace t = stablekv::testing;
  if (!t::HaveDevice("common_cuda_test")) return 0;
  const int cases = t::TestEncode() + t::TestDecode() + t::TestEncodeFp4() + t::TestHostCopies() +
                    t::TestCodeArch() + t::TestLaunchErrors();
  return t::Report("common_cuda_test", cases);
}
