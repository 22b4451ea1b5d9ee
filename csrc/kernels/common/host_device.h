// Marks a function that CUDA may call on the device as well as on the host.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_HOST_DEVICE_H_
#define STABLEKV_CSRC_KERNELS_COMMON_HOST_DEVICE_H_

#ifdef __CUDACC__
#define STABLEKV_HOST_DEVICE __host__ __device__
#else
#define STABLEKV_HOST_DEVICE
#endif

#endif  // STABLEKV_CSRC_KERNELS_COMMON_HOST_DEVICE_H_
