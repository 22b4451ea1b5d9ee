// A library that only a torch with CUDA can load: its use of libtorch_cuda is not weak.
#define USE_CUDA
#include <torch/csrc/inductor/aoti_torch/c/shim.h>

extern "C" __attribute__((visibility("default"))) void* stablekv_build_info(int device) {
  void* stream = nullptr;
  aoti_torch_get_current_cuda_stream(device, &stream);
  return stream;
}
