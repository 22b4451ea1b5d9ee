// convert_fp8 on CUDA.
#include <cstdint>

#include "csrc/kernels/cache/convert_fp8.h"
#include "csrc/kernels/common/cuda/launch.h"
#include "csrc/kernels/common/cuda/launch_config.h"
#include "csrc/kernels/common/cuda/number_format.cuh"
#include "csrc/kernels/common/cuda/overlap.cuh"
#include "csrc/kernels/common/type_dispatch.h"

namespace stablekv {
namespace {

constexpr int kThreads = 256;  // of a CTA
constexpr int kVector = 4;     // elements that a thread converts at a time

template <typename Bits>
struct alignas(kVector * sizeof(Bits)) Vector {
  Bits values[kVector];
};

// The product's NaN is the one of all bits but the sign.
template <typename Element, typename Fp8, bool kToFp8>
__device__ __forceinline__ void Convert(typename Element::Bits* element, uint8_t* fp8,
                                        float scale) {
  if constexpr (kToFp8) {
    *fp8 = Fp8::Encode(__fdiv_rn(Decode<Element>(*element), scale));
  } else {
    *element = Element::Encode(__fmul_rn(Decode<Fp8>(*fp8), scale));
  }
}

template <ElementType kElement, CacheType kCache, bool kToFp8>
__global__ void __launch_bounds__(kThreads)
    ConvertFp8Kernel(const __grid_constant__ ConvertFp8Params params, bool vectors) {
  WaitForEarlierKernels();
  LetNextKernelStart();
  using Element = ElementFormat<kElement>;
  using Fp8 = CacheFormat<kElement, kCache>;
  using Bits = typename Element::Bits;
  auto* const elements = static_cast<Bits*>(params.elements);
  auto* const fp8 = static_cast<uint8_t*>(params.fp8);
  const int64_t first = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const int64_t step = static_cast<int64_t>(gridDim.x) * kThreads;
  const int64_t num_vectors = vectors ? params.count / kVector : 0;
  for (int64_t i = first; i < num_vectors; i += step) {
    Vector<Bits> wide;
    Vector<uint8_t> narrow;
    if constexpr (kToFp8) {
      wide = reinterpret_cast<const Vector<Bits>*>(elements)[i];
    } else {
      narrow = reinterpret_cast<const Vector<uint8_t>*>(fp8)[i];
    }
#pragma unroll
    for (int k = 0; k < kVector; ++k) {
      Convert<Element, Fp8, kToFp8>(&wide.values[k], &narrow.values[k], params.scale);
    }
    if constexpr (kToFp8) {
      reinterpret_cast<Vector<uint8_t>*>(fp8)[i] = narrow;
    } else {
      reinterpret_cast<Vector<Bits>*>(elements)[i] = wide;
    }
  }
  for (int64_t i = num_vectors * kVector + first; i < params.count; i += step) {
    Convert<Element, Fp8, kToFp8>(elements + i, fp8 + i, params.scale);
  }
}

template <ElementType kElement, CacheType kCache>
Status LaunchFor(const ConvertFp8Params& params, CudaStream stream) {
  const auto elements = reinterpret_cast<uintptr_t>(params.elements);
  const auto fp8 = reinterpret_cast<uintptr_t>(params.fp8);
  const bool vectors = elements % (kVector * SizeOf(kElement)) == 0 && fp8 % kVector == 0;
  const int64_t per_cta = int64_t{kThreads} * (vectors ? kVector : 1);
  return LaunchOverlapping<ConvertFp8Params, bool>(
      "convert_fp8",
      params.to_fp8 ? ConvertFp8Kernel<kElement, kCache, true>
                    : ConvertFp8Kernel<kElement, kCache, false>,
      GridFor((params.count - 1) / per_cta + 1), dim3(kThreads), stream, params, vectors);
}

}  // namespace

Status ConvertFp8Cuda(const ConvertFp8Params& params, CudaStream stream) {
  if (params.count == 0) return Status();
  constexpr const char* kWhat = "convert_fp8 on CUDA";
  return ForElement(kWhat, params.element, [&](auto element) {
    return ForFp8(kWhat, params.cache, [&](auto cache) {
      return LaunchFor<element.value, cache.value>(params, stream);
    });
  });
}

}  // namespace stablekv
