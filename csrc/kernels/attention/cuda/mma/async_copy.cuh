// Copies from global to shared memory that run on while the warp computes: the bulk copies of sm_90
// and later, which signal a barrier in shared memory, and the 16-byte copies of sm_80.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_ASYNC_COPY_CUH_
#define STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_ASYNC_COPY_CUH_

#include <cstdint>

namespace stablekv {

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
inline constexpr bool kBulkCopies = true;
#else
inline constexpr bool kBulkCopies = false;
#endif

// ---- Bulk copies and their barriers -------------------------------------------------------------

// A barrier, of 8 bytes in shared memory, that one thread arrives at in each phase.
__device__ __forceinline__ void InitBarrier(uint32_t barrier) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(barrier) : "memory");
#endif
}

// Makes InitBarrier, and stores to shared memory, visible to bulk copies that follow.
__device__ __forceinline__ void FenceBulkCopies() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("fence.mbarrier_init.release.cluster;\nfence.proxy.async.shared::cta;" ::: "memory");
#endif
}

// The phase ends once `bytes` bytes have come.
__device__ __forceinline__ void ExpectBytes(uint32_t barrier, uint32_t bytes) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
               : "memory");
#endif
}

// How the second-level cache treats what is copied: bytes that are read once are the first to
// leave.
__device__ __forceinline__ uint64_t CachePolicy(bool read_once) {
  uint64_t policy = 0;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  if (read_once) {
    asm("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
  } else {
    asm("createpolicy.fractional.L2::evict_normal.b64 %0, 1.0;" : "=l"(policy));
  }
#endif
  return policy;
}

// Both addresses and `bytes` are multiples of 16.
__device__ __forceinline__ void BulkCopy(uint32_t target, const void* source, uint32_t bytes,
                                         uint32_t barrier, uint64_t policy) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint "
      "[%0], [%1], %2, [%3], %4;" ::"r"(target),
      "l"(source), "r"(bytes), "r"(barrier), "l"(policy)
      : "memory");
#endif
}

// Returns when the phase of parity `phase` has ended.
__device__ __forceinline__ void WaitForBytes(uint32_t barrier, uint32_t phase) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  uint32_t done = 0;
  while (done == 0) {
    asm volatile(
        "{\n.reg .pred p;\n"
        "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
        "selp.u32 %0, 1, 0, p;\n}"
        : "=r"(done)
        : "r"(barrier), "r"(phase)
        : "memory");
  }
#endif
}

// ---- 16-byte copies -----------------------------------------------------------------------------

__device__ __forceinline__ void CopyChunk(uint32_t target, const void* source) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(target), "l"(source) : "memory");
#endif
}

// Ends a group of copies, possibly an empty one.
__device__ __forceinline__ void EndChunks() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Returns when all but the `kLater` last groups of this thread's copies are there.
template <int kLater>
__device__ __forceinline__ void WaitForChunks() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(kLater) : "memory");
#endif
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_ASYNC_COPY_CUH_
