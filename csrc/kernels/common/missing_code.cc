#include "csrc/kernels/common/missing_code.h"

namespace stablekv {

std::string MissingCode(const std::string& built, const DeviceKind& device) {
  const std::string wanted =
      "sm_" + std::to_string(device.major * 10 + device.minor);  // 9.0 is sm_90, 12.1 is sm_121
  std::string listed;
  for (const char c : built) listed += c == ',' ? std::string(", ") : std::string(1, c);
  return "this build of stablekv has GPU code for " + listed + ", none of which runs on device " +
         std::to_string(device.index) + " (" + device.name + "), which is " + wanted +
         ": install a release wheel, which is for all GPUs from sm_80 on, or build with " +
         "--@stablekv//tools/cuda:archs=" + wanted + "; python -m stablekv doctor says more";
}

}  // namespace stablekv
