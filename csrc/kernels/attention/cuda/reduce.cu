// The second kernel, where sequences are split: combines the splits of each head.
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "csrc/kernels/attention/cuda/reduce.h"
#include "csrc/kernels/attention/cuda/softmax_state.cuh"
#include "csrc/kernels/attention/cuda/token_shares.cuh"
#include "csrc/kernels/common/cuda/launch.h"
#include "csrc/kernels/common/cuda/launch_config.h"
#include "csrc/kernels/common/cuda/number_format.cuh"
#include "csrc/kernels/common/cuda/overlap.cuh"

namespace stablekv {
namespace {

constexpr int kThreads = 128;
constexpr int kElementsPerThread = 2;  // of the head: the largest has 256
constexpr int kBatch = 16;             // splits that are fetched at once

// What a thread has of its elements, relative to the largest logit so far.
struct RunningOut {
  float max = -INFINITY;
  float sum = 0.0f;
  float out[kElementsPerThread] = {};

  // Adds `count` splits, in order; those after it are ignored, whatever they hold.
  __device__ __forceinline__ void Add(int count, const float (&max_logits)[kBatch],
                                      const float (&exp_sums)[kBatch],
                                      const float (&parts)[kBatch][kElementsPerThread]) {
    float new_max = max;
#pragma unroll
    for (int i = 0; i < kBatch; ++i) {
      if (i < count) new_max = fmaxf(new_max, max_logits[i]);
    }
    const float base = SoftmaxBase(new_max);
    const float factor = expf(max - base);
    max = new_max;
    sum *= factor;
#pragma unroll
    for (int e = 0; e < kElementsPerThread; ++e) out[e] *= factor;
#pragma unroll
    for (int i = 0; i < kBatch; ++i) {
      if (i >= count) continue;
      const float weight = exp_sums[i] * expf(max_logits[i] - base);
      sum += weight;
#pragma unroll
      for (int e = 0; e < kElementsPerThread; ++e) out[e] += weight * parts[i][e];
    }
  }
};

// The rows of the scratch that a head of a sequence has, in the order of its tokens.
struct PartRows {
  int64_t count;
  int64_t first;
  int64_t stride;
  int64_t last;

  __device__ __forceinline__ PartRows(const ReduceArgs& args, int64_t sequence, int64_t head) {
    const PagedAttentionParams& params = args.params;
    if (args.num_shares != 0) {
      const TokenShares shares(args.num_shares, params.seq_lens, static_cast<int>(params.num_seqs),
                               static_cast<int>(params.max_seq_len),
                               static_cast<int>(threadIdx.x % 32));
      const int2 full = shares.FullOf(static_cast<int>(sequence));
      count = full.y + 1;
      stride = params.num_heads;
      first = full.x * stride + head;
      last = (args.num_shares + sequence) * stride + head;
      return;
    }
    const int64_t length =
        max(int64_t{0}, min(static_cast<int64_t>(params.seq_lens[sequence]), params.max_seq_len));
    // Later rows have no tokens and were not written.
    count = (length + args.split_tokens - 1) / args.split_tokens;
    stride = 1;
    first = (sequence * params.num_heads + head) * args.scratch.num_partitions;
    last = first + count - 1;
  }

  __device__ __forceinline__ int64_t operator[](int64_t i) const {
    return i == count - 1 ? last : first + i * stride;
  }
};

// One CTA a head. Splits are added in order, so that the result does not depend on timing.
template <typename PartFormat, typename OutFormat>
__global__ void __launch_bounds__(kThreads) ReduceKernel(const __grid_constant__ ReduceArgs args) {
  const PagedAttentionParams& params = args.params;
  const int head_size = static_cast<int>(params.head_size);
  const int64_t num_items = params.num_seqs * params.num_heads;
  bool waited = false;
  for (int64_t item = blockIdx.x; item < num_items; item += gridDim.x) {
    const int64_t sequence = item / params.num_heads;
    const int64_t head = item % params.num_heads;
    // Lengths were there before the kernel that this one follows began.
    const PartRows rows(args, sequence, head);
    const int64_t count = rows.count;
    if (!waited) {
      WaitForEarlierKernels();
      LetNextKernelStart();
      waited = true;
    }
    if (args.singles_are_done && count <= 1) continue;
    const float* max_logits = args.scratch.max_logits;
    const float* exp_sums = args.scratch.exp_sums;
    const auto* parts = static_cast<const typename PartFormat::Bits*>(args.scratch.tmp_out);

    RunningOut running;
    for (int64_t first = 0; first < count; first += kBatch) {
      const int batch = static_cast<int>(min(count - first, static_cast<int64_t>(kBatch)));
      float batch_max[kBatch];
      float batch_sum[kBatch];
      float batch_parts[kBatch][kElementsPerThread];
#pragma unroll
      for (int i = 0; i < kBatch; ++i) {
        if (i >= batch) continue;
        const int64_t row = rows[first + i];
        batch_max[i] = max_logits[row];
        batch_sum[i] = exp_sums[row];
#pragma unroll
        for (int e = 0; e < kElementsPerThread; ++e) {
          const int element = e * kThreads + threadIdx.x;
          batch_parts[i][e] =
              element < head_size ? Decode<PartFormat>(parts[row * head_size + element]) : 0.0f;
        }
      }
      running.Add(batch, batch_max, batch_sum, batch_parts);
    }
    auto* target = static_cast<typename OutFormat::Bits*>(params.out) +
                   sequence * params.out_seq_stride + head * params.out_head_stride;
#pragma unroll
    for (int e = 0; e < kElementsPerThread; ++e) {
      const int element = e * kThreads + threadIdx.x;
      if (element < head_size) {
        target[element] =
            OutFormat::Encode(running.sum == 0.0f ? 0.0f : running.out[e] / running.sum);
      }
    }
  }
}

template <typename PartFormat, typename OutFormat>
Status Launch(const ReduceArgs& args, CudaStream stream) {
  static KernelLimits limits;
  LaunchConfig config;
  config.grid = GridFor(args.params.num_seqs * args.params.num_heads);
  config.block = dim3(kThreads);
  config.overlap_earlier = true;
  return LaunchKernel<ReduceArgs>("paged_attention_reduce", ReduceKernel<PartFormat, OutFormat>,
                                  config, &limits, stream, args);
}

// The results of partitions are float32, or rounded as the output is.
template <typename OutFormat>
Status LaunchForParts(const ReduceArgs& args, CudaStream stream) {
  if (args.scratch.tmp_element == ElementType::kFloat32) {
    return Launch<Float32Format, OutFormat>(args, stream);
  }
  return Launch<OutFormat, OutFormat>(args, stream);
}

}  // namespace

Status LaunchReduce(const ReduceArgs& args, CudaStream stream) {
  if (args.params.num_seqs == 0 || args.params.num_heads == 0) return Status();
  switch (args.params.element) {
    case ElementType::kFloat32:
      return LaunchForParts<Float32Format>(args, stream);
    case ElementType::kFloat16:
      return LaunchForParts<Float16Format>(args, stream);
    case ElementType::kBFloat16:
      return LaunchForParts<BFloat16Format>(args, stream);
  }
  return Status::Error("paged attention on CUDA: unknown element type");
}

}  // namespace stablekv
