// A tensor on memory that somebody else owns.
#ifndef STABLEKV_CSRC_LIBTORCH_UNSTABLE_TENSOR_AT_H_
#define STABLEKV_CSRC_LIBTORCH_UNSTABLE_TENSOR_AT_H_

#include <ATen/ops/from_blob.h>

namespace stablekv {

// Sizes, strides and dtype of `like`, at `data` on `device`. The owner is asked for nothing:
// `maker` adds who is, if anybody.
inline at::TensorMaker TensorAt(void* data, c10::Device device, const at::Tensor& like) {
  at::TensorMaker maker = at::for_blob(data, like.sizes());
  maker.strides(like.strides())
      .options(like.options().device(device))
      // Given, it is not looked up from the address, which an empty tensor does not have.
      .target_device(device);
  return maker;
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_LIBTORCH_UNSTABLE_TENSOR_AT_H_
