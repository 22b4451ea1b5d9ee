// A kernel for a GPU that is not this one, sm_75, and what its launch says.
#include <string>

#include "csrc/kernels/common/cuda/built_archs.h"
#include "csrc/kernels/common/cuda/launch.h"
#include "csrc/kernels/common/cuda/test_support.h"

namespace stablekv::testing {
namespace {

__global__ void NothingKernel() {}

int TestMissingCode(const cudaDeviceProp& device) {
  const Status status = LaunchKernel<>("nothing", NothingKernel, dim3(1), dim3(32), nullptr);
  Expect(!status.ok(), "a kernel without code for the device is refused");
  const std::string sm = "sm_" + std::to_string(10 * device.major + device.minor);
  for (const std::string& part : {std::string("launch of CUDA kernel nothing failed"),
                                  std::string(BuiltCudaArchs()), std::string(device.name), sm}) {
    Expect(status.message().find(part) != std::string::npos, status.message() + " lacks " + part);
  }
  Expect(cudaPeekAtLastError() == cudaSuccess, "the error does not stay behind");
  return 1;
}

}  // namespace
}  // namespace stablekv::testing

int main() {
  namespace t = stablekv::testing;
  if (!t::HaveDevice("missing_code_cuda_test")) return 0;
  cudaDeviceProp device;
  t::Must(cudaGetDeviceProperties(&device, 0), "cudaGetDeviceProperties");
  if (device.major == 7 && device.minor == 5) {
    std::printf("SKIPPED missing_code_cuda_test: this device is the one that the code is for\n");
    return 0;
  }
  return t::Report("missing_code_cuda_test", t::TestMissingCode(device));
}
