// The operators that have no equivalent in the stable ABI.
#include <torch/library.h>

#include "csrc/libtorch_unstable/weak_ref_tensor.h"

// The namespace of the stable library, which registers other names in it.
#ifndef STABLEKV_NAMESPACE
#define STABLEKV_NAMESPACE _C
#endif

TORCH_LIBRARY_FRAGMENT(STABLEKV_NAMESPACE, library) {
  // No alias annotation: to torch, the result's memory is its own.
  library.def("weak_ref_tensor(Tensor input) -> Tensor");
}

TORCH_LIBRARY_IMPL(STABLEKV_NAMESPACE, CPU, library) {
  library.impl("weak_ref_tensor", &stablekv::WeakRefTensor);
}

TORCH_LIBRARY_IMPL(STABLEKV_NAMESPACE, CUDA, library) {
  library.impl("weak_ref_tensor", &stablekv::WeakRefTensor);
}

// A gradient through memory that somebody else owns cannot be recorded: the result is a leaf.
TORCH_LIBRARY_IMPL(STABLEKV_NAMESPACE, Autograd, library) {
  library.impl("weak_ref_tensor", torch::CppFunction::makeFallthrough());
}
