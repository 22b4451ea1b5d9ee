// Clusters of CTAs that read each other's shared memory. Chips before sm_90 have none: a cluster is
// one CTA there.
#ifndef STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_CLUSTER_CUH_
#define STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_CLUSTER_CUH_

#include <cstdint>

#include "csrc/kernels/attention/cuda/mma/mma_ops.cuh"

namespace stablekv {

// All threads of all CTAs of the cluster meet; what they wrote to shared memory is visible.
__device__ __forceinline__ void SyncCluster() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::
                   : "memory");
#endif
}

// All threads of all CTAs of the cluster meet; says nothing about memory, but what they read is
// read.
__device__ __forceinline__ void WaitForCluster() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.arrive.relaxed.aligned;\nbarrier.cluster.wait.aligned;" ::
                   : "memory");
#endif
}

// The number that CTA `rank` of the cluster has where this CTA has *local.
__device__ __forceinline__ float ReadFromRank(const float* local, int rank) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  uint32_t remote;
  float value;
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;"
               : "=r"(remote)
               : "r"(SharedAddress(local)), "r"(rank));
  asm volatile("ld.shared::cluster.f32 %0, [%1];" : "=f"(value) : "r"(remote) : "memory");
  return value;
#else
  return *local;
#endif
}

// The same for four neighbouring numbers at a multiple of 16 bytes.
__device__ __forceinline__ float4 ReadFourFromRank(const float* local, int rank) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  uint32_t remote;
  float4 value;
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;"
               : "=r"(remote)
               : "r"(SharedAddress(local)), "r"(rank));
  asm volatile("ld.shared::cluster.v4.f32 {%0, %1, %2, %3}, [%4];"
               : "=f"(value.x), "=f"(value.y), "=f"(value.z), "=f"(value.w)
               : "r"(remote)
               : "memory");
  return value;
#else
  return *reinterpret_cast<const float4*>(local);
#endif
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_ATTENTION_CUDA_MMA_CLUSTER_CUH_
