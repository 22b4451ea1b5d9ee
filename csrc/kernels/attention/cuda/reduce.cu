// The second kernel of paged_attention_v2: combines the partitions of each head.
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "csrc/kernels/attention/cuda/decode_args.h"
#include "csrc/kernels/attention/cuda/softmax_state.cuh"
#include "csrc/kernels/common/cuda/launch.h"
#include "csrc/kernels/common/cuda/number_format.cuh"

namespace stablekv {
namespace {

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / 32;
constexpr int kElementsPerThread = 2;  // of the head: the largest has 256

// Largest logit of the partitions, in all threads.
__device__ float MaxOfPartitions(const float* max_logits, int64_t count, float (&shared)[kWarps]) {
  float max = -INFINITY;
  for (int64_t i = threadIdx.x; i < count; i += kThreads) max = fmaxf(max, max_logits[i]);
  max = WarpMax(max);
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = max;
  __syncthreads();
  max = shared[0];
  for (int w = 1; w < kWarps; ++w) max = fmaxf(max, shared[w]);
  return max;
}

// One CTA a head. Partitions are added in order, so that the result does not depend on timing.
template <typename Format>
__global__ void __launch_bounds__(kThreads)
    ReduceKernel(const __grid_constant__ PagedAttentionParams params,
                 const __grid_constant__ PagedAttentionScratch scratch, int64_t num_partitions) {
  using Bits = typename Format::Bits;
  __shared__ float warp_max[kWarps];
  __shared__ float weights[kThreads];
  const int head_size = static_cast<int>(params.head_size);
  const int64_t num_items = params.num_seqs * params.num_heads;
  for (int64_t item = blockIdx.x; item < num_items; item += gridDim.x) {
    const int64_t sequence = item / params.num_heads;
    const int64_t head = item % params.num_heads;
    const int64_t length =
        max(int64_t{0}, min(static_cast<int64_t>(params.seq_lens[sequence]), params.max_seq_len));
    // Later partitions have no tokens and were not written.
    const int64_t count = (length + kPartitionSize - 1) / kPartitionSize;
    const float* max_logits = scratch.max_logits + item * num_partitions;
    const float* exp_sums = scratch.exp_sums + item * num_partitions;
    const Bits* parts =
        static_cast<const Bits*>(scratch.tmp_out) + item * num_partitions * head_size;
    const float base = SoftmaxBase(MaxOfPartitions(max_logits, count, warp_max));

    float sum = 0.0f;
    float out[kElementsPerThread] = {};
    for (int64_t first = 0; first < count; first += kThreads) {
      const int batch = static_cast<int>(min(count - first, static_cast<int64_t>(kThreads)));
      if (threadIdx.x < batch) {
        const int64_t i = first + threadIdx.x;
        weights[threadIdx.x] = exp_sums[i] * expf(max_logits[i] - base);
      }
      __syncthreads();
      for (int i = 0; i < batch; ++i) {
        const float weight = weights[i];
        sum += weight;
#pragma unroll
        for (int e = 0; e < kElementsPerThread; ++e) {
          const int element = e * kThreads + threadIdx.x;
          if (element < head_size) {
            out[e] += weight * Decode<Format>(parts[(first + i) * head_size + element]);
          }
        }
      }
      __syncthreads();
    }
    Bits* target = static_cast<Bits*>(params.out) + sequence * params.out_seq_stride +
                   head * params.out_head_stride;
#pragma unroll
    for (int e = 0; e < kElementsPerThread; ++e) {
      const int element = e * kThreads + threadIdx.x;
      if (element < head_size) target[element] = Format::Encode(sum == 0.0f ? 0.0f : out[e] / sum);
    }
    __syncthreads();  // warp_max is read
  }
}

template <ElementType kElement>
Status Launch(const PagedAttentionParams& params, const PagedAttentionScratch& scratch,
              int64_t num_partitions, CudaStream stream) {
  return LaunchKernel<PagedAttentionParams, PagedAttentionScratch, int64_t>(
      "paged_attention_v2_reduce", ReduceKernel<ElementFormat<kElement>>,
      GridFor(params.num_seqs * params.num_heads), dim3(kThreads), stream, params, scratch,
      num_partitions);
}

}  // namespace

Status LaunchReduce(const PagedAttentionParams& params, const PagedAttentionScratch& scratch,
                    int64_t num_partitions, CudaStream stream) {
  if (params.num_seqs == 0 || params.num_heads == 0) return Status();
  switch (params.element) {
    case ElementType::kFloat32:
      return Launch<ElementType::kFloat32>(params, scratch, num_partitions, stream);
    case ElementType::kFloat16:
      return Launch<ElementType::kFloat16>(params, scratch, num_partitions, stream);
    case ElementType::kBFloat16:
      return Launch<ElementType::kBFloat16>(params, scratch, num_partitions, stream);
  }
  return Status::Error("paged attention on CUDA: unknown element type");
}

}  // namespace stablekv
