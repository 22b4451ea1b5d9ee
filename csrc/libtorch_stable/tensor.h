// A tensor that an operator is called with.
#ifndef STABLEKV_CSRC_LIBTORCH_STABLE_TENSOR_H_
#define STABLEKV_CSRC_LIBTORCH_STABLE_TENSOR_H_

#include <torch/csrc/inductor/aoti_torch/c/shim.h>

#include <memory>

#include "csrc/libtorch_stable/target_version.h"

namespace stablekv {

// Owns its handle. torch::stable::Tensor shares it, which costs every argument of every call a
// counter on the heap.
class Tensor {
 public:
  explicit Tensor(AtenTensorHandle handle) : handle_(handle) {}

  AtenTensorHandle get() const { return handle_.get(); }

 private:
  struct Delete {
    void operator()(AtenTensorHandle handle) const { aoti_torch_delete_tensor_object(handle); }
  };
  std::unique_ptr<AtenTensorOpaque, Delete> handle_;
};

}  // namespace stablekv

#endif  // STABLEKV_CSRC_LIBTORCH_STABLE_TENSOR_H_
