// Accesses to shared memory by its own addresses, which have 32 bits.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_SHARED_MEMORY_CUH_
#define STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_SHARED_MEMORY_CUH_

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

// Keeps the bits of `mask` of 16 aligned bytes of shared memory.
__device__ __forceinline__ void AndShared(uint32_t address, const uint32_t (&mask)[4]) {
  asm volatile(
      "{\n.reg .b32 w<4>;\nld.shared.v4.b32 {w0, w1, w2, w3}, [%0];\n"
      "and.b32 w0, w0, %1;\nand.b32 w1, w1, %2;\nand.b32 w2, w2, %3;\nand.b32 w3, w3, %4;\n"
      "st.shared.v4.b32 [%0], {w0, w1, w2, w3};\n}" ::"r"(address),
      "r"(mask[0]), "r"(mask[1]), "r"(mask[2]), "r"(mask[3])
      : "memory");
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_SHARED_MEMORY_CUH_
