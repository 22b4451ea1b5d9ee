// A library for torch 2.13, by a function that torch 2.10 does not have; the target is not set.
#include <torch/csrc/stable/c/shim.h>

extern "C" __attribute__((visibility("default"))) void* stablekv_build_info(StreamHandle stream) {
  void* handle = nullptr;
  torch_stream_native_handle(stream, &handle);
  return handle;
}
