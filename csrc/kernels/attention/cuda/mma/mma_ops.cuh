// The tensor core's instructions, one function each.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_MMA_OPS_CUH_
#define STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_MMA_OPS_CUH_

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

namespace stablekv {

// Four 8 x 8 matrices of 2-byte elements. Lane i names row i % 8 of matrix i / 8, 16 aligned bytes.
// In words[m], lane i holds elements 2 * (i % 4) and the next of row i / 4 of matrix m.
__device__ __forceinline__ void LoadMatrices(uint32_t row_address, uint32_t (&words)[4]) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
               : "r"(row_address)
               : "memory");
}

// Transposes an 8 x 8 matrix of 2-byte elements that the warp holds as LoadMatrices leaves it.
__device__ __forceinline__ uint32_t Transpose(uint32_t word) {
  uint32_t transposed;
  asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(transposed) : "r"(word));
  return transposed;
}

// sums[16 x 8] += a[16 x 16] * b[16 x 8]. With g = lane / 4 and t = lane % 4 a lane holds
//   sums: rows g, g, g + 8, g + 8; columns 2t, 2t + 1, 2t, 2t + 1
//   a:    row g, k 2t and the next; row g + 8, the same; row g, k 2t + 8; row g + 8, k 2t + 8
//   b:    column g, k 2t and the next; k 2t + 8 and the next
// Mma<Operand>: Add is that product. Pack rounds two floats to nearest and puts them into a word,
// `low` into the lower half; Cut rounds them towards 0; Unpack takes them out. kLeast is a number
// close to the smallest.
template <typename Operand>
struct Mma;

template <>
struct Mma<__half> {
  static constexpr float kLeast = 0x1p-24f;
  static __device__ __forceinline__ void Add(float (&sums)[4], uint32_t a0, uint32_t a1,
                                             uint32_t a2, uint32_t a3, const uint32_t (&b)[2]) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b[0]), "r"(b[1]));
  }
  static __device__ __forceinline__ uint32_t Pack(float low, float high) {
    const __half2 pair = __floats2half2_rn(low, high);
    return *reinterpret_cast<const uint32_t*>(&pair);
  }
  static __device__ __forceinline__ uint32_t Cut(float low, float high) {
    uint32_t word;
    asm("cvt.rz.f16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
    return word;
  }
  static __device__ __forceinline__ float2 Unpack(uint32_t word) {
    return __half22float2(*reinterpret_cast<const __half2*>(&word));
  }
};

template <>
struct Mma<__nv_bfloat16> {
  static constexpr float kLeast = 0x1p-126f;
  static __device__ __forceinline__ void Add(float (&sums)[4], uint32_t a0, uint32_t a1,
                                             uint32_t a2, uint32_t a3, const uint32_t (&b)[2]) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
        "{%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b[0]), "r"(b[1]));
  }
  static __device__ __forceinline__ uint32_t Pack(float low, float high) {
    const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
    return *reinterpret_cast<const uint32_t*>(&pair);
  }
  static __device__ __forceinline__ uint32_t Cut(float low, float high) {
    return __byte_perm(__float_as_uint(low), __float_as_uint(high), 0x7632);
  }
  static __device__ __forceinline__ float2 Unpack(uint32_t word) {
    return {__uint_as_float(word << 16), __uint_as_float(word & 0xffff0000u)};
  }
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_MMA_OPS_CUH_
