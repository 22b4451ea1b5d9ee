// What the CUDA tests share: device memory, host-side number formats that are slow and obvious, and
// counting of failures.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_CUDA_TEST_SUPPORT_H_
#define STABLEKV_CSRC_KERNELS_COMMON_CUDA_TEST_SUPPORT_H_

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "csrc/kernels/common/types.h"

namespace stablekv::testing {

inline int failures = 0;

// Counts a failure; prints the first ones.
inline void Expect(bool good, const std::string& message) {
  if (good) return;
  if (++failures <= 40) std::fprintf(stderr, "FAILED: %s\n", message.c_str());
}

// As above, for checks of single elements: `message()` makes the text when it is needed.
template <typename Message, typename = decltype(std::declval<Message>()())>
void Expect(bool good, const Message& message) {
  if (!good) Expect(false, std::string(message()));
}

// For CUDA calls of the test itself: nothing can be learnt after one has failed.
inline void Must(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "FAILED: %s: %s\n", what, cudaGetErrorString(error));
  std::exit(1);
}

// Whether there is a device. If not, prints why the test is skipped, also where Bazel shows it;
// with STABLEKV_REQUIRE_GPU=1 (--config=gpu) it fails.
inline bool HaveDevice(const char* test) {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaSuccess && count > 0) return true;
  const char* required = std::getenv("STABLEKV_REQUIRE_GPU");
  const bool fail = required != nullptr && std::strcmp(required, "1") == 0;
  const std::string line =
      std::string(fail ? "FAILED " : "SKIPPED ") + test + ": no CUDA device (" +
      (error == cudaSuccess ? "count is 0" : cudaGetErrorString(error)) + ")\n";
  std::fputs(line.c_str(), stdout);
  if (fail) std::exit(1);
  if (const char* path = std::getenv("TEST_WARNINGS_OUTPUT_FILE")) {
    if (std::FILE* warnings = std::fopen(path, "a")) {
      std::fputs(line.c_str(), warnings);
      std::fclose(warnings);
    }
  }
  return false;
}

// Whether `bytes` bytes of device memory are free. If not, prints why the part is skipped.
inline bool HaveMemory(const char* part, size_t bytes) {
  size_t free = 0;
  size_t total = 0;
  Must(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  if (free > bytes) return true;
  std::printf("SKIPPED %s: needs %zu MiB of device memory, %zu are free\n", part, bytes >> 20,
              free >> 20);
  return false;
}

// The exit code of a test that ran `cases` cases.
inline int Report(const char* test, int cases) {
  Must(cudaDeviceSynchronize(), "last synchronisation");
  std::printf("%s %s: %d cases, %d failures\n", failures == 0 ? "PASSED" : "FAILED", test, cases,
              failures);
  return failures == 0 ? 0 : 1;
}

// The main of a test that is a list of cases.
template <typename Case>
int RunCases(const char* test, std::vector<Case> (*cases)(), void (*run)(const Case&)) {
  if (!HaveDevice(test)) return 0;
  const std::vector<Case> all = cases();
  for (const Case& c : all) run(c);
  return Report(test, static_cast<int>(all.size()));
}

// Device memory that begins `shift` bytes into an allocation and ends with it.
class DeviceBytes {
 public:
  explicit DeviceBytes(size_t size, size_t shift = 0) : size_(size), shift_(shift) {
    Must(cudaMalloc(&base_, size + shift + 1), "cudaMalloc");
  }
  template <typename T>
  explicit DeviceBytes(const std::vector<T>& host, size_t shift = 0)
      : DeviceBytes(host.size() * sizeof(T), shift) {
    Must(cudaMemcpy(data(), host.data(), size_, cudaMemcpyHostToDevice), "copy to device");
  }
  DeviceBytes(const DeviceBytes&) = delete;
  DeviceBytes& operator=(const DeviceBytes&) = delete;
  ~DeviceBytes() { cudaFree(base_); }

  void* data() const { return static_cast<char*>(base_) + shift_; }
  template <typename T>
  T* As() const {
    return static_cast<T*>(data());
  }
  std::vector<uint8_t> Read() const {
    std::vector<uint8_t> host(size_);
    Must(cudaMemcpy(host.data(), data(), size_, cudaMemcpyDeviceToHost), "copy from device");
    return host;
  }

 private:
  void* base_ = nullptr;
  size_t size_;
  size_t shift_;
};

// Reproducible random numbers.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15ull + 1) {}
  uint64_t Next() {
    state_ += 0x9e3779b97f4a7c15ull;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  }
  int64_t Below(int64_t bound) { return static_cast<int64_t>(Next() % bound); }
  // Sum of four uniforms: bell-shaped, variance 1, within +-3.5.
  float Normal() {
    float sum = 0.0f;
    for (int i = 0; i < 4; ++i) sum += static_cast<float>(Next() >> 40) / (1 << 24) - 0.5f;
    return sum * 1.7320508f;
  }

 private:
  uint64_t state_;
};

// Value of an fp8 code, from the definition of the format.
inline double DecodeFp8(CacheType cache, uint8_t code) {
  const bool e4m3 = cache == CacheType::kFp8E4M3;
  const int mantissa_bits = e4m3 ? 3 : 2;
  const int bias = e4m3 ? 7 : 15;
  const int exponent = (code & 0x7f) >> mantissa_bits;
  const int mantissa = code & ((1 << mantissa_bits) - 1);
  const double sign = code & 0x80 ? -1.0 : 1.0;
  if (e4m3 && (code & 0x7f) == 0x7f) return NAN;
  if (!e4m3 && exponent == 31) return mantissa == 0 ? sign * INFINITY : NAN;
  if (exponent == 0) return sign * std::ldexp(mantissa, 1 - bias - mantissa_bits);
  return sign * std::ldexp((1 << mantissa_bits) + mantissa, exponent - bias - mantissa_bits);
}

// The finite fp8 values from 0 up, in the order of their codes.
inline std::vector<double> PositiveFp8(CacheType cache) {
  std::vector<double> values;
  for (int code = 0; std::isfinite(DecodeFp8(cache, static_cast<uint8_t>(code))); ++code) {
    values.push_back(DecodeFp8(cache, static_cast<uint8_t>(code)));
  }
  return values;
}

// The fp8 code nearest to `x`, by trying all; ties to the even code, saturating, NaN as 0x7f.
inline uint8_t EncodeFp8(CacheType cache, float x) {
  static const std::vector<double> values[2] = {PositiveFp8(CacheType::kFp8E4M3),
                                                PositiveFp8(CacheType::kFp8E5M2)};
  if (std::isnan(x)) return 0x7f;
  const std::vector<double>& value = values[cache == CacheType::kFp8E4M3 ? 0 : 1];
  const int largest = static_cast<int>(value.size()) - 1;
  int best = 0;
  double best_distance = INFINITY;
  for (int code = 0; code <= largest; ++code) {
    const double distance = std::fabs(std::fabs(static_cast<double>(x)) - value[code]);
    if (distance < best_distance || (distance == best_distance && code % 2 == 0)) {
      best = code;
      best_distance = distance;
    }
  }
  if (std::fabs(x) > value[largest]) best = largest;  // far out, all distances round to the same
  return static_cast<uint8_t>(best | (std::signbit(x) ? 0x80 : 0));
}

// An element's bits, nearest to `x`, and its value.
inline uint32_t EncodeElement(ElementType type, float x) {
  if (type == ElementType::kFloat16) return static_cast<__half_raw>(__float2half_rn(x)).x;
  if (type == ElementType::kBFloat16) {
    return static_cast<__nv_bfloat16_raw>(__float2bfloat16_rn(x)).x;
  }
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  return bits;
}
inline float DecodeElement(ElementType type, uint32_t bits) {
  if (type == ElementType::kFloat16) {
    __half_raw raw;
    raw.x = static_cast<uint16_t>(bits);
    return __half2float(raw);
  }
  if (type == ElementType::kBFloat16) bits <<= 16;
  float x;
  std::memcpy(&x, &bits, sizeof(x));
  return x;
}

// The i-th number of `bytes` bytes in a host copy of a tensor.
inline uint32_t GetBits(const std::vector<uint8_t>& tensor, int64_t i, int64_t bytes) {
  uint32_t bits = 0;
  std::memcpy(&bits, tensor.data() + i * bytes, bytes);
  return bits;
}
inline void SetBits(std::vector<uint8_t>* tensor, int64_t i, int64_t bytes, uint32_t bits) {
  std::memcpy(tensor->data() + i * bytes, &bits, bytes);
}

inline const char* Name(ElementType type) {
  return type == ElementType::kFloat32 ? "f32" : type == ElementType::kFloat16 ? "f16" : "bf16";
}
inline const char* Name(CacheType type) {
  return type == CacheType::kAuto ? "auto" : type == CacheType::kFp8E4M3 ? "e4m3" : "e5m2";
}

inline constexpr ElementType kElements[] = {ElementType::kFloat32, ElementType::kFloat16,
                                            ElementType::kBFloat16};
inline constexpr CacheType kCaches[] = {CacheType::kAuto, CacheType::kFp8E4M3, CacheType::kFp8E5M2};

}  // namespace stablekv::testing

#endif  // STABLEKV_CSRC_KERNELS_COMMON_CUDA_TEST_SUPPORT_H_
