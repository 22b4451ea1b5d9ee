#include <cuda_runtime.h>

#include "brighten.h"

__global__ void Brighten(const uint8_t* in, uint8_t* out, int64_t size, uint8_t amount) {
  const int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x;
  if (i < size) out[i] = static_cast<uint8_t>(min(in[i] + amount, 255));
}

const char* BrightenCuda(const uint8_t* in, uint8_t* out, int64_t size, uint8_t amount,
                         CUstream_st* stream) {
  const auto blocks = static_cast<unsigned>((size + 255) / 256);
  if (blocks > 0) Brighten<<<blocks, 256, 0, stream>>>(in, out, size, amount);
  const cudaError_t error = cudaGetLastError();
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}
