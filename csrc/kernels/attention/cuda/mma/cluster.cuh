// Clusters of CTAs that read each other's shared memory. Chips before sm_90 have none: a cluster is
// one CTA there.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_CLUSTER_CUH_
#define STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_CLUSTER_CUH_

#include <cstdint>

#include "csrc/kernels/attention/cuda/mma/shared_memory.cuh"

namespace stablekv {

// All threads of all CTAs of the cluster meet; what they wrote to shared memory is visible.
__device__ __forceinline__ void SyncCluster() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::
                   : "memory");
#endif
}

// Says that this CTA runs, and returns when all CTAs of the cluster do: the shared memory of one
// that does not must not be written to. Each once, before the first SyncCluster().
__device__ __forceinline__ void ArriveAtCluster() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.arrive.relaxed.aligned;" ::: "memory");
#endif
}
__device__ __forceinline__ void WaitForCluster() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.wait.aligned;" ::: "memory");
#endif
}

// Where CTA `rank` of the cluster has what this CTA has at `local`.
__device__ __forceinline__ uint32_t AddressInRank(const void* local, int rank) {
  uint32_t remote = SharedAddress(local);
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;"
               : "=r"(remote)
               : "r"(SharedAddress(local)), "r"(rank));
#endif
  return remote;
}

__device__ __forceinline__ void StoreInRank(uint32_t address, const float4& value) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("st.shared::cluster.v4.f32 [%0], {%1, %2, %3, %4};" ::"r"(address), "f"(value.x),
               "f"(value.y), "f"(value.z), "f"(value.w)
               : "memory");
#endif
}
__device__ __forceinline__ void StoreInRank(uint32_t address, const float2& value) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("st.shared::cluster.v2.f32 [%0], {%1, %2};" ::"r"(address), "f"(value.x),
               "f"(value.y)
               : "memory");
#endif
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_CLUSTER_CUH_
