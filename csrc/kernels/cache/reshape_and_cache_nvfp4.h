// Scatters the keys and values of new tokens into nvfp4 caches: e2m1 codes, two a byte, and an e4m3
// scale for every 16 of them, in planes of their own within a page.
#ifndef STABLEKV_CSRC_KERNELS_CACHE_RESHAPE_AND_CACHE_NVFP4_H_
#define STABLEKV_CSRC_KERNELS_CACHE_RESHAPE_AND_CACHE_NVFP4_H_

#include <cstdint>

#include "csrc/kernels/common/bfloat16.h"
#include "csrc/kernels/common/cuda_stream.h"
#include "csrc/kernels/common/float16.h"
#include "csrc/kernels/common/float_bits.h"
#include "csrc/kernels/common/fp4.h"
#include "csrc/kernels/common/fp8.h"
#include "csrc/kernels/common/host_device.h"
#include "csrc/kernels/common/parallel.h"
#include "csrc/kernels/common/slot_mapping.h"
#include "csrc/kernels/common/status.h"
#include "csrc/kernels/common/types.h"

namespace stablekv {

inline constexpr int64_t kNvfp4Group = 16;  // elements that share a scale

// The keys and their cache, or the values and theirs.
struct Nvfp4Side {
  const uint16_t* source;       // [num_tokens, num_heads, head_size], `element`
  uint8_t* cache;               // [num_blocks] pages, see Nvfp4DataAt and Nvfp4ScaleAt
  const float* scale;           // one value
  int64_t source_token_stride;  // elements
  int64_t source_head_stride;   // elements
  int64_t page_stride;          // bytes from block to block
};

// For token i with slot s = slot_mapping[i] >= 0, every head and every group of 16 elements: the
// group's codes and scale (EncodeNvfp4) go to Nvfp4DataAt and Nvfp4ScaleAt of the page of the
// slot's block. A negative slot is padding: nothing is read or written for it.
struct ReshapeAndCacheNvfp4Params {
  Nvfp4Side key;  // its scales are never swizzled
  Nvfp4Side value;
  const int64_t* slot_mapping;  // [num_tokens], contiguous
  int64_t num_tokens;
  int64_t num_blocks;
  int64_t block_size;  // tokens, a multiple of 4
  int64_t num_heads;
  int64_t head_size;  // elements, a multiple of 64
  bool hnd;           // in a page: heads outside of tokens
  ElementType element;
};

// Rows into a plane of a page: each is a token and a head.
STABLEKV_HOST_DEVICE inline int64_t Nvfp4Row(const ReshapeAndCacheNvfp4Params& params,
                                             int64_t offset, int64_t head) {
  return params.hnd ? head * params.block_size + offset : offset * params.num_heads + head;
}

// Bytes into a page to the 8 bytes of a group: elements 2 j and 2 j + 1 in the low and the high
// half of byte j.
STABLEKV_HOST_DEVICE inline int64_t Nvfp4DataAt(const ReshapeAndCacheNvfp4Params& params,
                                                int64_t offset, int64_t head, int64_t group) {
  return Nvfp4Row(params, offset, head) * (params.head_size / 2) + group * (kNvfp4Group / 2);
}

// Bytes into a page to the scale of a group. Swizzled: the scales of four tokens trade places.
STABLEKV_HOST_DEVICE inline int64_t Nvfp4ScaleAt(const ReshapeAndCacheNvfp4Params& params,
                                                 int64_t offset, int64_t head, int64_t group,
                                                 bool swizzled) {
  const int64_t groups = params.head_size / kNvfp4Group;
  const int64_t quarter = groups / 4;
  const int64_t token = swizzled ? offset / 4 * 4 + group / quarter : offset;
  const int64_t column = swizzled ? group % quarter * 4 + offset % 4 : group;
  return params.num_heads * params.block_size * (params.head_size / 2) +
         Nvfp4Row(params, token, head) * groups + column;
}

// Elements from the start of a source to a group.
STABLEKV_HOST_DEVICE inline int64_t Nvfp4SourceAt(const Nvfp4Side& side, int64_t token,
                                                  int64_t head, int64_t group) {
  return token * side.source_token_stride + head * side.source_head_stride + group * kNvfp4Group;
}

STABLEKV_HOST_DEVICE inline float Nvfp4Element(uint16_t bits, ElementType element) {
  return element == ElementType::kFloat16 ? Float16ToFloat(bits) : BFloat16ToFloat(bits);
}

struct Nvfp4Codes {
  uint64_t data;  // element i in bits [4 i, 4 i + 4)
  uint8_t scale;
};

// Every operation is one of float32, rounded to nearest, and so the same on every backend; the
// operator of vLLM takes approximate reciprocals, which may differ in the last bit, and with them a
// code or a scale at a tie. NaN does not count for the scale, and becomes +6; Inf becomes 6.
STABLEKV_HOST_DEVICE inline Nvfp4Codes EncodeNvfp4(const uint16_t* group, ElementType element,
                                                   float scale) {
  uint32_t amax = 0;  // magnitudes are in the order of their bits
  for (int64_t i = 0; i < kNvfp4Group; ++i) {
    const uint32_t magnitude = FloatToBits(Nvfp4Element(group[i], element)) & 0x7FFFFFFF;
    if (magnitude <= kFloatInfinityBits && magnitude > amax) amax = magnitude;
  }
  const float inverse = 1.0f / scale;
  Nvfp4Codes codes = {};
  codes.scale = FloatToFp8E4M3(inverse * (BitsToFloat(amax) * (1.0f / 6.0f)));
  const float stored = Fp8E4M3ToFloat(codes.scale);
  const float multiplier = stored != 0.0f ? 1.0f / (stored * (1.0f / inverse)) : 0.0f;
  for (int64_t i = 0; i < kNvfp4Group; i += 2) {
    const uint64_t pair = FloatPairToFp4E2M1(Nvfp4Element(group[i], element) * multiplier,
                                             Nvfp4Element(group[i + 1], element) * multiplier);
    codes.data |= pair << (4 * i);
  }
  return codes;
}

// Refuses a slot past the cache, before anything is written. Scales of values are swizzled.
Status ReshapeAndCacheNvfp4Cpu(const ReshapeAndCacheNvfp4Params& params, ParallelFor parallel_for);

// Asynchronous on `stream`. A slot past the cache is skipped: it cannot be reported from here.
// Scales of values are swizzled except on devices of compute capability 12.x.
Status ReshapeAndCacheNvfp4Cuda(const ReshapeAndCacheNvfp4Params& params, CudaStream stream);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_CACHE_RESHAPE_AND_CACHE_NVFP4_H_
