// The tensor core's instructions, one function each.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_MMA_OPS_CUH_
#define STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_MMA_OPS_CUH_

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

namespace stablekv {

__device__ __forceinline__ uint32_t SharedAddress(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

__device__ __forceinline__ void StoreShared(uint32_t address, uint64_t value) {
  asm volatile("st.shared.u64 [%0], %1;" ::"r"(address), "l"(value) : "memory");
}
__device__ __forceinline__ uint64_t LoadShared(uint32_t address) {
  uint64_t value;
  asm volatile("ld.shared.u64 %0, [%1];" : "=l"(value) : "r"(address) : "memory");
  return value;
}

// Four 8 x 8 matrices of 2-byte elements. Lane i names row i % 8 of matrix i / 8, 16 aligned bytes.
// In words[m], lane i holds elements 2 * (i % 4) and the next of row i / 4 of matrix m.
__device__ __forceinline__ void LoadMatrices(uint32_t row_address, uint32_t (&words)[4]) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
               : "r"(row_address)
               : "memory");
}

// Keeps the bits of `mask` of 16 aligned bytes of shared memory.
__device__ __forceinline__ void AndShared(uint32_t address, const uint32_t (&mask)[4]) {
  asm volatile(
      "{\n.reg .b32 w<4>;\nld.shared.v4.b32 {w0, w1, w2, w3}, [%0];\n"
      "and.b32 w0, w0, %1;\nand.b32 w1, w1, %2;\nand.b32 w2, w2, %3;\nand.b32 w3, w3, %4;\n"
      "st.shared.v4.b32 [%0], {w0, w1, w2, w3};\n}" ::"r"(address),
      "r"(mask[0]), "r"(mask[1]), "r"(mask[2]), "r"(mask[3])
      : "memory");
}

// Transposes an 8 x 8 matrix of 2-byte elements that the warp holds as LoadMatrices leaves it.
__device__ __forceinline__ uint32_t Transpose(uint32_t word) {
  uint32_t transposed;
  asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(transposed) : "r"(word));
  return transposed;
}

// 2 to the power of x, with a relative error of 2^-22; 0 at -inf.
__device__ __forceinline__ float Exp2(float x) {
  float power;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x));
  return power;
}

// sums[16 x 8] += a[16 x 16] * b[16 x 8]. With g = lane / 4 and t = lane % 4 a lane holds
//   sums: rows g, g, g + 8, g + 8; columns 2t, 2t + 1, 2t, 2t + 1
//   a:    row g, k 2t and the next; row g + 8, the same; row g, k 2t + 8; row g + 8, k 2t + 8
//   b:    column g, k 2t and the next; k 2t + 8 and the next
template <typename Operand>
struct Mma;

// As it is, Operand::Pack puts two floats into a word, `low` into the lower half, rounded to
// nearest; Unpack takes them out.
template <>
struct Mma<__half> {
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
  static __device__ __forceinline__ float2 Unpack(uint32_t word) {
    return __half22float2(*reinterpret_cast<const __half2*>(&word));
  }
};

template <>
struct Mma<__nv_bfloat16> {
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
  static __device__ __forceinline__ float2 Unpack(uint32_t word) {
    return {__uint_as_float(word << 16), __uint_as_float(word & 0xffff0000u)};
  }
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_MMA_OPS_CUH_
