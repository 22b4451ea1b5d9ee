// From checked parameters to a kernel, and from a Status to an exception.
#ifndef STABLEKV_CSRC_LIBTORCH_STABLE_LAUNCH_H_
#define STABLEKV_CSRC_LIBTORCH_STABLE_LAUNCH_H_

#include <stdexcept>
#include <string>

#include "csrc/kernels/common/status.h"
#include "csrc/libtorch_stable/cuda_stream.h"
#include "csrc/libtorch_stable/parallel.h"
#include "csrc/libtorch_stable/torch.h"
#include "csrc/ops/tensor_arg.h"

namespace stablekv {

// torch turns it into a Python RuntimeError with exactly the status's message; the headers' own
// check macro would put the function's name and a source path in front.
inline void ThrowIfError(const Status& status) {
  if (!status.ok()) throw std::runtime_error(status.message());
}

// The same for what a kernel says, which does not know the operator that it serves.
inline void ThrowIfError(const char* op, const Status& status) {
  if (!status.ok()) throw std::runtime_error(std::string(op) + ": " + status.message());
}

// Runs `cpu(parallel_for)` or `cuda(stream)` for operator `op`, on the device and its current
// stream. `cuda` is a generic lambda, so that a build without CUDA never refers to what it calls.
template <typename Cpu, typename Cuda>
void Launch(const char* op, const Device& device, Cpu&& cpu, [[maybe_unused]] Cuda&& cuda) {
  if (device.type == DeviceType::kCpu) {
    ThrowIfError(op, cpu(&TorchParallelFor));
    return;
  }
#ifdef STABLEKV_WITH_CUDA
  const DeviceGuard guard(device.index);
  ThrowIfError(op, cuda(CurrentCudaStream(device.index)));
#else
  throw std::runtime_error(std::string(op) + ": this build of stablekv has no CUDA kernels");
#endif
}

}  // namespace stablekv

#endif  // STABLEKV_CSRC_LIBTORCH_STABLE_LAUNCH_H_
