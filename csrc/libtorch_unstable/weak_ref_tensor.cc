#include "csrc/libtorch_unstable/weak_ref_tensor.h"

#include <ATen/ops/from_blob.h>

namespace stablekv {

at::Tensor WeakRefTensor(const at::Tensor& input) {
  return at::for_blob(input.data_ptr(), input.sizes())
      .strides(input.strides())
      .options(input.options())
      // Given, it is not looked up from the address, which an empty tensor does not have.
      .target_device(input.device())
      .make_tensor();
}

}  // namespace stablekv
