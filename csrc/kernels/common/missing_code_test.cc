#include "csrc/kernels/common/missing_code.h"

#include "csrc/kernels/common/testing.h"

namespace {

void CheckSays(const std::string& message, const std::string& part) {
  CHECK_THAT(message.find(part) != std::string::npos, message << " lacks " << part);
}

}  // namespace

int main() {
  using stablekv::MissingCode;
  const std::string hopper = MissingCode("sm_100", {3, "NVIDIA H100 80GB HBM3", 9, 0});
  CheckSays(hopper, "GPU code for sm_100, none of which runs on device 3 (NVIDIA H100");
  CheckSays(hopper, "(NVIDIA H100 80GB HBM3), which is sm_90: ");
  CheckSays(hopper, "--@stablekv//tools/cuda:archs=sm_90;");
  CheckSays(hopper, "python -m stablekv doctor");

  const std::string many = MissingCode("sm_90a,sm_120,compute_120", {0, "A", 12, 1});
  CheckSays(many,
            "for sm_90a, sm_120, compute_120, none of which runs on device 0 (A), which is sm_121");
  CheckSays(MissingCode("sm_90a", {0, "T4", 7, 5}), "(T4), which is sm_75:");
  CHECK_THAT(hopper.find('\n') == std::string::npos, "one line");
  return stablekv::testing::Finish();
}
