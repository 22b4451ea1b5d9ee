#include "csrc/libtorch_unstable/values_in_memory.h"

#include <stdexcept>
#include <string>

namespace stablekv {
namespace {

// Null for a tensor like most.
const char* LazyKindOf(const at::Tensor& tensor) {
  if (tensor._is_zerotensor()) return "a zero tensor without memory (see torch.clone)";
  if (tensor.is_conj()) return "a conjugate view (see torch.resolve_conj)";
  if (tensor.is_neg()) return "a negative view (see torch.resolve_neg)";
  return nullptr;
}

}  // namespace

void CheckValuesInMemory(const char* op, const char* argument, const at::Tensor& tensor) {
  const char* const kind = LazyKindOf(tensor);
  if (kind == nullptr) return;
  throw std::runtime_error(std::string(op) + ": " + argument +
                           " must have its values in memory, got " + kind);
}

}  // namespace stablekv
