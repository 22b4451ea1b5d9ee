#include "csrc/libtorch_stable/cuda_stream.h"

#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/headeronly/util/shim_utils.h>

#include <stdexcept>

#include "csrc/libtorch_stable/target_version.h"

// Only a torch with CUDA defines it, in libtorch_cuda. Weak, so that one library loads in both; it
// is found through libtorch.so, which the library needs for that reason.
extern "C" __attribute__((weak, visibility("default"))) AOTITorchError
aoti_torch_get_current_cuda_stream(int32_t device_index, void** ret_stream);

namespace stablekv {

bool TorchHasCuda() { return &aoti_torch_get_current_cuda_stream != nullptr; }

CudaStream CurrentCudaStream(int32_t device_index) {
  if (!TorchHasCuda()) {
    throw std::runtime_error("this torch is built without CUDA, so it has no CUDA stream");
  }
  void* stream = nullptr;
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(device_index, &stream));
  return static_cast<CudaStream>(stream);
}

}  // namespace stablekv
