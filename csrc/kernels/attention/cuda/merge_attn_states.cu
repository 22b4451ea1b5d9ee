// merge_attn_states on CUDA.
#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "csrc/kernels/attention/attn_weights.h"
#include "csrc/kernels/attention/merge_attn_states.h"
#include "csrc/kernels/common/cuda/launch.h"
#include "csrc/kernels/common/cuda/launch_config.h"
#include "csrc/kernels/common/cuda/number_format.cuh"
#include "csrc/kernels/common/cuda/overlap.cuh"
#include "csrc/kernels/common/divide.h"
#include "csrc/kernels/common/type_dispatch.h"

namespace stablekv {
namespace {

constexpr int kThreads = 256;
using Fp8 = Fp8E4M3Format;

// A group of lanes, a power of two of neighbouring threads, merges one token of one head at a time.
struct MergeArgs {
  MergeAttnStatesParams params;
  bool vectors;  // 16 bytes of input are aligned everywhere, and the output that belongs to them
  int log_lanes;
};

// The input elements of 16 bytes.
template <typename Format>
struct Pack {
  using Bits = typename Format::Bits;
  static constexpr int kSize = 16 / static_cast<int>(sizeof(Bits));
  union {
    uint4 vector;
    uint32_t words[4];
    Bits bits[kSize];
  };

  __device__ __forceinline__ void Load(const Bits* from) {
    vector = __ldg(reinterpret_cast<const uint4*>(from));
  }
  __device__ __forceinline__ void Decode(float* values) const {
#pragma unroll
    for (int i = 0; i < 4; ++i) Format::DecodeWord(words[i], values + i * (kSize / 4));
  }
};

__device__ __forceinline__ float Mix(const AttnWeights& weights, float prefix, float suffix) {
  return prefix * weights.prefix + suffix * weights.suffix;
}

// Elements of one token of one head, kFp8: multiplied by inverse_scale and stored as e4m3.
template <typename Format, bool kFp8>
struct Row {
  using Bits = typename Format::Bits;
  using Out = std::conditional_t<kFp8, uint8_t, Bits>;
  const Bits* prefix;
  const Bits* suffix;
  Out* output;
  AttnWeights weights;
  float inverse_scale;

  __device__ __forceinline__ void MergeElement(int64_t d) const {
    const bool both = weights.source == AttnSource::kBoth;
    const Bits one = weights.source == AttnSource::kSuffix ? suffix[d] : prefix[d];
    float value = Decode<Format>(one);
    if (both) value = Mix(weights, value, Decode<Format>(suffix[d]));
    if constexpr (kFp8) {
      output[d] = Fp8::Encode(__fmul_rn(value, inverse_scale));
    } else {
      output[d] = both ? Format::Encode(value) : one;
    }
  }

  __device__ __forceinline__ void MergePack(int64_t d) const {
    constexpr int kSize = Pack<Format>::kSize;
    const bool both = weights.source == AttnSource::kBoth;
    Pack<Format> one;
    Pack<Format> other = {};
    one.Load((weights.source == AttnSource::kSuffix ? suffix : prefix) + d);
    if (both) other.Load(suffix + d);
    float values[kSize];
    one.Decode(values);
    if (both) {
      float suffixes[kSize];
      other.Decode(suffixes);
#pragma unroll
      for (int i = 0; i < kSize; ++i) values[i] = Mix(weights, values[i], suffixes[i]);
    }
    if constexpr (kFp8) {
      uint32_t words[kSize / 4] = {};
#pragma unroll
      for (int i = 0; i < kSize; ++i) {
        words[i / 4] |= static_cast<uint32_t>(Fp8::Encode(__fmul_rn(values[i], inverse_scale)))
                        << (i % 4 * 8);
      }
#pragma unroll
      for (int i = 0; i < kSize / 4; ++i) reinterpret_cast<uint32_t*>(output + d)[i] = words[i];
    } else {
      if (both) {
#pragma unroll
        for (int i = 0; i < kSize; ++i) one.bits[i] = Format::Encode(values[i]);
      }
      *reinterpret_cast<uint4*>(output + d) = one.vector;
    }
  }
};

template <ElementType kElement, bool kFp8>
__global__ void __launch_bounds__(kThreads)
    MergeAttnStatesKernel(const __grid_constant__ MergeArgs args) {
  WaitForEarlierKernels();
  LetNextKernelStart();
  using Format = ElementFormat<kElement>;
  using RowType = Row<Format, kFp8>;
  using Bits = typename RowType::Bits;
  const MergeAttnStatesParams& params = args.params;
  const int lanes = 1 << args.log_lanes;
  const int lane = threadIdx.x & (lanes - 1);
  const int64_t rows_per_cta = kThreads >> args.log_lanes;
  const int64_t num_rows = params.num_tokens * params.num_heads;
  const float inverse_scale = kFp8 ? __fdiv_rn(1.0f, *params.output_scale) : 1.0f;
  for (int64_t i = rows_per_cta * blockIdx.x + (threadIdx.x >> args.log_lanes); i < num_rows;
       i += rows_per_cta * gridDim.x) {
    const int64_t token = i / params.num_heads;
    const int64_t head = i - token * params.num_heads;
    const auto at = [&](const auto& states) {
      return token * states.token_stride + head * states.head_stride;
    };
    const RowType row{static_cast<const Bits*>(params.prefix.data) + at(params.prefix),
                      static_cast<const Bits*>(params.suffix.data) + at(params.suffix),
                      static_cast<typename RowType::Out*>(params.output.data) + at(params.output),
                      WeightsOf(params, token, head), inverse_scale};
    if (args.vectors) {
      constexpr int kSize = Pack<Format>::kSize;
      for (int64_t d = kSize * lane; d < params.head_size; d += kSize * lanes) row.MergePack(d);
    } else {
      for (int64_t d = lane; d < params.head_size; d += lanes) row.MergeElement(d);
    }
    if (lane == 0 && params.output_lse.data != nullptr) {
      params.output_lse.data[at(params.output_lse)] = row.weights.lse;
    }
  }
}

template <ElementType kElement, bool kFp8>
Status Launch(const MergeArgs& args, CudaStream stream) {
  const int64_t num_rows = args.params.num_tokens * args.params.num_heads;
  const int64_t rows_per_cta = kThreads >> args.log_lanes;
  return LaunchOverlapping<MergeArgs>("merge_attn_states", MergeAttnStatesKernel<kElement, kFp8>,
                                      GridFor((num_rows + rows_per_cta - 1) / rows_per_cta),
                                      dim3(kThreads), stream, args);
}

template <ElementType kElement>
Status LaunchForOutput(const MergeArgs& args, CudaStream stream) {
  return args.params.output_scale == nullptr ? Launch<kElement, false>(args, stream)
                                             : Launch<kElement, true>(args, stream);
}

// Whether `bytes` bytes at every multiple of `pack` elements are aligned.
template <typename Data>
bool IsAligned(const AttnStates<Data>& states, int64_t pack, uint64_t bytes) {
  return reinterpret_cast<uintptr_t>(states.data) % bytes == 0 &&
         (states.token_stride | states.head_stride) % pack == 0;
}

}  // namespace

Status MergeAttnStatesCuda(const MergeAttnStatesParams& params, CudaStream stream) {
  if (params.num_tokens == 0 || params.num_heads == 0) return Status();
  const int64_t pack = 16 / SizeOf(params.element);
  const auto output_bytes = static_cast<uint64_t>(params.output_scale == nullptr ? 16 : pack);
  MergeArgs args = {};
  args.params = params;
  args.vectors = params.head_size % pack == 0 && IsAligned(params.prefix, pack, 16) &&
                 IsAligned(params.suffix, pack, 16) && IsAligned(params.output, pack, output_bytes);
  const int64_t pieces = params.head_size / (args.vectors ? pack : 1);
  args.log_lanes = std::min(CeilLog2(pieces), 5);
  return ForElement("merge_attn_states on CUDA", params.element,
                    [&](auto element) { return LaunchForOutput<element.value>(args, stream); });
}

}  // namespace stablekv
