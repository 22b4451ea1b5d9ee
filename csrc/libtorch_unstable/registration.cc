// The operators that have no equivalent in the stable ABI.
#include <torch/library.h>

#include "csrc/libtorch_unstable/cuda_view.h"
#include "csrc/libtorch_unstable/weak_ref_tensor.h"

// The namespace is the stable library's, which registers other names in it. No alias annotations:
// to torch, the memory of a result is its own.
TORCH_LIBRARY_FRAGMENT(STABLEKV_NAMESPACE, library) {
  library.def("weak_ref_tensor(Tensor input) -> Tensor");
  library.def("get_cuda_view_from_cpu_tensor(Tensor cpu_tensor) -> Tensor");
}

namespace {

// On CUDA too the view has an implementation: the one that says what is wrong with the argument.
void Implement(torch::Library& library) {
  library.impl("weak_ref_tensor", &stablekv::WeakRefTensor);
  library.impl("get_cuda_view_from_cpu_tensor", &stablekv::CudaViewFromCpuTensor);
}

void FallThrough(torch::Library& library) {
  library.impl("weak_ref_tensor", torch::CppFunction::makeFallthrough());
  library.impl("get_cuda_view_from_cpu_tensor", torch::CppFunction::makeFallthrough());
}

}  // namespace

TORCH_LIBRARY_IMPL(STABLEKV_NAMESPACE, CPU, library) { Implement(library); }
TORCH_LIBRARY_IMPL(STABLEKV_NAMESPACE, CUDA, library) { Implement(library); }

// A gradient through memory that somebody else owns cannot be recorded: the results are leaves.
TORCH_LIBRARY_IMPL(STABLEKV_NAMESPACE, Autograd, library) { FallThrough(library); }

// With torch's fallbacks the result would be on the memory of a copy with the values, which is gone
// when the call returns. The functions refuse such tensors.
TORCH_LIBRARY_IMPL(STABLEKV_NAMESPACE, Conjugate, library) { FallThrough(library); }
TORCH_LIBRARY_IMPL(STABLEKV_NAMESPACE, Negative, library) { FallThrough(library); }
TORCH_LIBRARY_IMPL(STABLEKV_NAMESPACE, ZeroTensor, library) { FallThrough(library); }
