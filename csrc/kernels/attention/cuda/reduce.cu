// The second kernel, where sequences are split: combines the splits of each head.
#include <cmath>
#include <cstdint>

#include "csrc/kernels/attention/cuda/reduce.h"
#include "csrc/kernels/attention/cuda/softmax_state.cuh"
#include "csrc/kernels/attention/cuda/token_shares.cuh"
#include "csrc/kernels/common/cuda/launch.h"
#include "csrc/kernels/common/cuda/launch_config.h"
#include "csrc/kernels/common/cuda/number_format.cuh"
#include "csrc/kernels/common/cuda/overlap.cuh"
#include "csrc/kernels/common/cuda/warp.cuh"
#include "csrc/kernels/common/divide.h"

namespace stablekv {
namespace {

constexpr int kWarps = 4;  // row i is of warp i % kWarps
constexpr int kThreads = 32 * kWarps;
constexpr int kLaneElements = 4;           // a lane has elements lane, lane + 32, ..
constexpr int kTile = 32 * kLaneElements;  // elements of a CTA
constexpr int kRowsAtOnce = 16;            // that a warp fetches before it uses the first
static_assert(kTile == kThreads, "each thread writes one element");

// The rows of the scratch that a head of a sequence has, in the order of its tokens.
struct PartRows {
  int count;
  int64_t first;
  int64_t stride;
  int64_t last;

  __device__ __forceinline__ PartRows(const ReduceArgs& args, int64_t sequence, int64_t head) {
    const PagedAttentionParams& params = args.params;
    const int num_shares = args.shares.num_shares();
    if (num_shares != 0) {
      const int lane = static_cast<int>(threadIdx.x % 32);
      LaneLengths lengths;
      lengths.Fetch(params, lane);
      const TokenShares shares(args.shares, lengths, static_cast<int>(params.num_seqs),
                               static_cast<int>(params.max_seq_len), lane);
      const int2 full = shares.FullOf(static_cast<int>(sequence));
      count = full.y + 1;
      stride = params.num_heads;
      first = full.x * stride + head;
      last = (num_shares + sequence) * stride + head;
      return;
    }
    const int64_t length =
        AttendedLength<int64_t>(LoadUncached(params.seq_lens + sequence), params.max_seq_len);
    // Later rows have no tokens and were not written.
    count = static_cast<int>(args.partition_size != 0 ? CeilDivide(length, args.partition_size)
                                                      : args.splits.CountOf(length));
    stride = 1;
    first = (sequence * params.num_heads + head) * args.scratch.num_partitions;
    last = first + count - 1;
  }

  __device__ __forceinline__ int64_t operator[](int i) const {
    return i == count - 1 ? last : first + i * stride;
  }
};

// What a warp has of its rows: the largest logit and, relative to it, the sum of all weights and
// the weighted sums of the lane's elements.
template <typename Format>
struct WarpRows {
  using Fetched = typename Format::Bits[kRowsAtOnce][kLaneElements];

  float max = -INFINITY;
  float sum = 0.0f;
  float out[kLaneElements] = {};

  // Adds `count` rows. Lane i has the largest logit and the sum of row i, other lanes -inf and 0.
  __device__ __forceinline__ void Add(int count, float row_max, float row_sum,
                                      const Fetched& fetched) {
    const float new_max = fmaxf(max, WarpMax(row_max));
    const float base = SoftmaxBase(new_max);
    const float factor = expf(max - base);
    const float weight = row_sum * expf(row_max - base);
    max = new_max;
    sum = sum * factor + WarpSum(weight);
#pragma unroll
    for (int e = 0; e < kLaneElements; ++e) out[e] *= factor;
#pragma unroll
    for (int i = 0; i < kRowsAtOnce; ++i) {
      if (i >= count) break;
      const float row_weight = __shfl_sync(kFullWarp, weight, i);
#pragma unroll
      for (int e = 0; e < kLaneElements; ++e) out[e] += row_weight * Decode<Format>(fetched[i][e]);
    }
  }
};

// Where the warps of a CTA meet.
struct Shared {
  float max[kWarps];
  float sum[kWarps];
  float out[kWarps][kTile];

  template <typename Format>
  __device__ __forceinline__ void Publish(int warp, int lane, const WarpRows<Format>& rows) {
    if (lane == 0) {
      max[warp] = rows.max;
      sum[warp] = rows.sum;
    }
#pragma unroll
    for (int e = 0; e < kLaneElements; ++e) out[warp][32 * e + lane] = rows.out[e];
  }

  // Element `e` of the result.
  __device__ __forceinline__ float Merge(int e) const {
    float all_max = max[0];
#pragma unroll
    for (int w = 1; w < kWarps; ++w) all_max = fmaxf(all_max, max[w]);
    const float base = SoftmaxBase(all_max);
    float all_sum = 0.0f;
    float value = 0.0f;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) {
      const float factor = expf(max[w] - base);
      all_sum += factor * sum[w];
      value += factor * out[w][e];
    }
    return all_sum == 0.0f ? 0.0f : value / all_sum;
  }
};

// Registers are limited as if so many CTAs shared a multiprocessor, so that one fits beside two of
// the kernel before and two of the one behind.
constexpr int kResidentCtas = 5;

// A CTA for each tile of a head's elements. Rows are added in an order that the number of rows
// alone decides, so that the result does not depend on timing.
template <typename PartFormat, typename OutFormat>
__global__ void __launch_bounds__(kThreads, kResidentCtas)
    ReduceKernel(const __grid_constant__ ReduceArgs args) {
  using Bits = typename PartFormat::Bits;
  __shared__ Shared shared;
  const PagedAttentionParams& params = args.params;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int first_element = static_cast<int>(blockIdx.y) * kTile;
  const int head_size = static_cast<int>(params.head_size);
  const int left = head_size - first_element - lane;  // element 32 * e is there if that is less
  const auto* const parts = static_cast<const Bits*>(args.scratch.tmp_out) + first_element + lane;
  const int64_t num_items = params.num_seqs * params.num_heads;
  bool waited = false;
  for (int64_t item = blockIdx.x; item < num_items; item += gridDim.x) {
    const int64_t sequence = item / params.num_heads;
    const int64_t head = item % params.num_heads;
    // Lengths are there: the kernel before this one lets it start when those before are done.
    const PartRows rows(args, sequence, head);
    const Bits* next = parts + (rows.first + warp * rows.stride) * head_size;
    const int64_t step = kWarps * rows.stride * head_size;
    if (!waited) {
      // It waits for this one's end, and so for all that this one waits for.
      LetNextKernelStart();
      WaitForEarlierKernels();
      waited = true;
    }
    if (args.singles_are_done && rows.count <= 1) continue;

    WarpRows<PartFormat> sums;
    for (int first = warp; first < rows.count; first += kWarps * kRowsAtOnce) {
      const int count = min((rows.count - first + kWarps - 1) / kWarps, kRowsAtOnce);
      float row_max = -INFINITY;
      float row_sum = 0.0f;
      if (lane < count) {
        const int64_t row = rows[first + kWarps * lane];
        row_max = args.scratch.max_logits[row];
        row_sum = args.scratch.exp_sums[row];
      }
      typename WarpRows<PartFormat>::Fetched fetched;
#pragma unroll
      for (int i = 0; i < kRowsAtOnce; ++i) {
        if (i >= count) break;
        const bool is_last = first + kWarps * i == rows.count - 1;
        const Bits* const row = is_last ? parts + rows.last * head_size : next;
        next += step;
#pragma unroll
        for (int e = 0; e < kLaneElements; ++e) {
          fetched[i][e] = 32 * e < left ? row[32 * e] : Bits{0};
        }
      }
      sums.Add(count, row_max, row_sum, fetched);
    }
    shared.Publish(warp, lane, sums);
    __syncthreads();
    const int element = first_element + static_cast<int>(threadIdx.x);
    if (element < head_size) {
      auto* const out = static_cast<typename OutFormat::Bits*>(params.out);
      out[sequence * params.out_seq_stride + head * params.out_head_stride + element] =
          OutFormat::Encode(shared.Merge(static_cast<int>(threadIdx.x)));
    }
    __syncthreads();
  }
}

template <typename PartFormat, typename OutFormat>
Status Launch(const ReduceArgs& args, CudaStream stream) {
  static KernelLimits limits;
  LaunchConfig config;
  config.grid = GridFor(args.params.num_seqs * args.params.num_heads);
  config.grid.y = static_cast<unsigned>(CeilDivide(args.params.head_size, kTile));
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
