// Timing of CUDA kernels: graph replays over rotated buffers, and the limit that reading sets.
#ifndef STABLEKV_BENCHMARKS_CUDA_BENCH_SUPPORT_H_
#define STABLEKV_BENCHMARKS_CUDA_BENCH_SUPPORT_H_

#include <cuda_runtime_api.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <vector>

#include "csrc/kernels/common/types.h"

namespace stablekv::bench {

// Ends the program: nothing that was measured after an error means anything.
inline void Must(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(error));
  std::exit(1);
}

// Bytes that buffers are rotated over, far more than the second-level cache holds, and most copies.
inline constexpr int64_t kRotatedBytes = int64_t{768} << 20;
inline constexpr int64_t kMostCopies = 256;

// How many buffers of `bytes` bytes to rotate.
int64_t CopiesFor(int64_t bytes);

// Microseconds of one launch: the median over replays of a graph that has `copies` launches (at
// least 16, in turns). `launch(copy, stream)` enqueues one.
double MicrosecondsOf(int64_t copies, const std::function<void(int64_t, cudaStream_t)>& launch);

// Microseconds of reading `bytes` bytes, the best of several plain kernels; copy i begins at
// i * bytes of `buffer`.
double MicrosecondsOfReading(const void* buffer, int64_t bytes, int64_t copies);

// Fills memory with what a cache holds: 16-bit elements near N(0, 1), or fp8 codes of magnitudes up
// to about 4.
void FillRandom(void* buffer, int64_t bytes, ElementType element, CacheType cache, uint64_t seed);

}  // namespace stablekv::bench

#endif  // STABLEKV_BENCHMARKS_CUDA_BENCH_SUPPORT_H_
