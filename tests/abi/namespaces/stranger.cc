// Somebody else's library with an operator of one of our names, by the stable ABI.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/tensor.h>

namespace {

void DoNothing(torch::stable::Tensor) {}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(_C, library) { library.def("paged_attention_v2(Tensor x) -> ()"); }

STABLE_TORCH_LIBRARY_IMPL(_C, CPU, library) {
  library.impl("paged_attention_v2", TORCH_BOX(&DoNothing));
}
