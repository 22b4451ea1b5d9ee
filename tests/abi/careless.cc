// A library with all that else can go wrong: foreign symbols, an export, a path, a library too
// many.
#include <torch/csrc/inductor/aoti_torch/c/shim.h>

#define EXPORTED extern "C" __attribute__((visibility("default")))

extern "C" int torch_not_in_the_shim();
extern "C" int stranger_of_no_library();
extern "C" __attribute__((weak)) int stranger_that_may_be_missing();
extern "C" void* PyLong_FromLong(long value);

EXPORTED const char* careless_extra_export() { return "/root/careless/source.cc"; }

EXPORTED void* stablekv_build_info(AtenTensorHandle tensor) {
  int64_t dim = torch_not_in_the_shim() + stranger_of_no_library();
  if (&stranger_that_may_be_missing != nullptr) dim += stranger_that_may_be_missing();
  aoti_torch_get_dim(tensor, &dim);
  return PyLong_FromLong(dim);
}
