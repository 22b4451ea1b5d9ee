#include "csrc/libtorch_unstable/weak_ref_tensor.h"

#include "csrc/libtorch_unstable/tensor_at.h"
#include "csrc/libtorch_unstable/values_in_memory.h"

namespace stablekv {

at::Tensor WeakRefTensor(const at::Tensor& input) {
  CheckValuesInMemory("weak_ref_tensor", "input", input);
  return TensorAt(input.data_ptr(), input.device(), input).make_tensor();
}

}  // namespace stablekv
