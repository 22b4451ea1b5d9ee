// The message for a device that the build holds no code for.
#ifndef STABLEKV_CSRC_KERNELS_COMMON_MISSING_CODE_H_
#define STABLEKV_CSRC_KERNELS_COMMON_MISSING_CODE_H_

#include <string>

namespace stablekv {

// A CUDA device: compute capability 9.0 is {.., 9, 0}.
struct DeviceKind {
  int index;
  std::string name;
  int major;
  int minor;
};

// What is there, what is wanted and what to do; `built` is as BuiltCudaArchs gives it.
std::string MissingCode(const std::string& built, const DeviceKind& device);

}  // namespace stablekv

#endif  // STABLEKV_CSRC_KERNELS_COMMON_MISSING_CODE_H_
