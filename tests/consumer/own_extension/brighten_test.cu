// What the kernel writes; without a GPU it is skipped.
#include <cuda_runtime_api.h>

#include <cstdio>

#include "brighten.h"

int main() {
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
    std::puts("SKIPPED: no CUDA device");
    return 0;
  }
  uint8_t* bytes = nullptr;
  if (cudaMallocManaged(&bytes, 2) != cudaSuccess) return 1;
  bytes[0] = 7;
  bytes[1] = 250;
  const char* error = BrightenCuda(bytes, bytes, 2, 10, nullptr);
  if (error != nullptr || cudaDeviceSynchronize() != cudaSuccess) {
    std::printf("FAILED: %s\n", error != nullptr ? error : "the kernel");
    return 1;
  }
  const bool good = bytes[0] == 17 && bytes[1] == 255;
  std::printf("%s: %d and %d\n", good ? "PASSED" : "FAILED", bytes[0], bytes[1]);
  return good ? 0 : 1;
}
